"""Hot predicates are fetched again before their fresh life ends."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from cache.lives import JITTER
from config.settings import Settings
from domain.refreshing import RefreshRules
from tasks import operations
from tasks.declare import declare_task
from tasks.later import Follow
from tasks.names import REFRESH_DUE, Queue
from tasks.parts import Parts
from tasks.refreshing import refresh_worthiest
from tasks.reporting import log_report
from tasks.switches import is_switched_off
from tasks.warming import announced_again

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
    """Refresh what is worth most on one network, within its budget; without a chain id on each.

    What fails is still due when beat comes round again, so nothing is tried again here. Warm-ups
    whose messages got lost with a broker are announced again on the same occasion.
    """
    if is_switched_off(
        REFRESH_DUE, {"ENABLE_BALANCE_CACHE=false": parts.settings.enable_balance_cache}
    ):
        return ()
    if chain_id is None:
        return [
            Follow(REFRESH_DUE, (each,), Queue.REFRESH, _EXPIRES_SECONDS)
            for each in parts.settings.chain_ids
        ]
    await parts.beat.note()
    reader = parts.reader(operations.parse_chain_id(chain_id))
    rules = _rules(parts.settings, parts.vaults_per_request(chain_id))
    report = await refresh_worthiest(parts.schedule, reader, rules)
    if report != operations.RefillReport():
        log_report("refresh.fetched", chain_id, report)
    return await announced_again(parts, chain_id)


def _rules(settings: Settings, vaults_per_request: int) -> RefreshRules:
    shortest = settings.balance_cache_ttl * (1 - JITTER)
    return RefreshRules(
        fresh_seconds=settings.balance_cache_ttl,
        soft_seconds=shortest - min(settings.refresh_ahead_seconds, shortest / 2),
        batch_size=min(settings.refresh_batch, vaults_per_request),
        calls_per_minute=settings.refresh_calls_per_minute,
        interval_seconds=settings.refresh_interval_seconds,
        ahead_seconds=settings.refresh_ahead_seconds,
    )
