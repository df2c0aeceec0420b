"""Hot predicates are fetched again before their fresh life ends."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from tasks import operations
from tasks.declare import declare_task
from tasks.later import Follow
from tasks.names import REFRESH_DUE, Queue
from tasks.parts import Parts
from tasks.reporting import log_report

_log = structlog.get_logger("tasks")
_EXPIRES_SECONDS = 60


@declare_task(
    REFRESH_DUE,
    queue=Queue.REFRESH,
    deadline_seconds=30,
    expires_seconds=_EXPIRES_SECONDS,
    retries=0,
)
async def refresh_due(parts: Parts, chain_id: int | None = None) -> Sequence[Follow]:
    """Refresh what is due on one network; without a chain id, on each one after the other.

    What fails is still due when beat comes round again, so nothing is tried again here.
    """
    if not parts.settings.enable_balance_cache:
        _log.info("task.switched_off", task=REFRESH_DUE, by="ENABLE_BALANCE_CACHE=false")
        return ()
    if chain_id is None:
        return [
            Follow(REFRESH_DUE, (each,), Queue.REFRESH, _EXPIRES_SECONDS)
            for each in parts.settings.chain_ids
        ]
    reader = parts.reader(operations.parse_chain_id(chain_id))
    report = await operations.refresh_due(parts.cache, reader, limit=parts.settings.refresh_batch)
    if report != operations.RefillReport():
        log_report("refresh.fetched", chain_id, report)
    return ()
