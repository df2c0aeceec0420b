"""The last known balances go to the database, behind everything that anybody waits for."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from tasks.declare import declare_task
from tasks.keeping import Keeping, keep
from tasks.later import Follow
from tasks.names import KEEP, PRUNE, Queue
from tasks.parts import Parts
from tasks.switches import is_switched_off

_PRUNED_AT_ONCE = 2_000
_MOST_PRUNES = 25
_MS_OF_A_DAY = 86_400_000
_log = structlog.get_logger("tasks")


@declare_task(KEEP, queue=Queue.REFRESH, deadline_seconds=40, expires_seconds=60, retries=0)
async def keep_snapshots(parts: Parts) -> Sequence[Follow]:
    """Write what was published since the last run to the database, in batches.

    What fails is written by the next run.
    """
    if not _is_on(parts, KEEP):
        return ()
    settings = parts.settings
    report = await keep(
        Keeping(
            cache=parts.cache,
            changes=parts.changes,
            keeper=parts.keeper,
            watched=parts.watched,
            durable=parts.durable,
            chain_ids=settings.chain_ids,
            hot_life_seconds=settings.hot_life_seconds,
        )
    )
    if report.written:
        _log.info("keep.written", vaults=report.written, news=report.news)
    return ()


@declare_task(PRUNE, queue=Queue.REFRESH, deadline_seconds=40, expires_seconds=60, retries=0)
async def prune_history(parts: Parts) -> Sequence[Follow]:
    """Forget balances that ended more than HISTORY_DAYS ago; the last known of each vault stays."""
    if not _is_on(parts, PRUNE):
        return ()
    before_ms = await parts.keeper.now_ms() - int(parts.settings.history_days * _MS_OF_A_DAY)
    pruned = 0
    for _ in range(_MOST_PRUNES):
        found = await parts.durable.prune(before_ms, _PRUNED_AT_ONCE)
        pruned += found
        if found < _PRUNED_AT_ONCE:
            break
    if pruned:
        _log.info("keep.pruned", points=pruned)
    return ()


def _is_on(parts: Parts, task: str) -> bool:
    switches = {
        "ENABLE_BALANCE_CACHE=false": parts.settings.enable_balance_cache,
        "DURABLE_ENABLED=false": parts.settings.durable_enabled,
    }
    return not is_switched_off(task, switches)
