"""Warm-up at login: all predicates of a user, in as few node requests as possible."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from tasks import operations
from tasks.declare import Follow, UnfinishedError, declare_task
from tasks.names import (
    BATCH_SIZE,
    WARM_PREDICATES,
    WARM_USER,
    WARMUP_EXPIRES_SECONDS,
    Queue,
)
from tasks.parts import Parts
from tasks.reporting import log_report

_log = structlog.get_logger("tasks")


def _switched_off(parts: Parts, task: str) -> bool:
    settings = parts.settings
    for name, enabled in (
        ("ENABLE_BALANCE_CACHE", settings.enable_balance_cache),
        ("WARMUP_ENABLED", settings.warmup_enabled),
    ):
        if not enabled:
            _log.info("task.switched_off", task=task, by=f"{name}=false")
            return True
    return False


@declare_task(
    WARM_USER,
    queue=Queue.WARMUP,
    deadline_seconds=15,
    expires_seconds=WARMUP_EXPIRES_SECONDS,
    retries=5,
)
async def warm_user(parts: Parts, user_id: str, chain_id: int | None = None) -> Sequence[Follow]:
    """Fan out a user's warm-up; no chain id means every configured network."""
    if _switched_off(parts, WARM_USER):
        return ()
    user_id = operations.parse_user_id(user_id)
    if chain_id is None:
        chain_ids: tuple[int, ...] = parts.settings.chain_ids
    else:
        chain_ids = (parts.settings.network(operations.parse_chain_id(chain_id)).chain_id,)
    batches = await operations.plan_warm_up(
        parts.registry,
        parts.cache,
        user_id=user_id,
        chain_ids=chain_ids,
        at_once=parts.settings.warmup_max_predicates,
        batch_size=BATCH_SIZE,
        skip_fresh=parts.settings.warmup_skip_cached,
    )
    _log.info("warm_up.planned", user_id=user_id, subtasks=len(batches))
    return [_subtask(batch) for batch in batches]


def _subtask(batch: operations.Batch) -> Follow:
    return Follow(
        WARM_PREDICATES,
        (list(batch.addresses), batch.chain_id, batch.later),
        _queue(later=batch.later),
        WARMUP_EXPIRES_SECONDS,
    )


@declare_task(
    WARM_PREDICATES,
    queue=Queue.WARMUP,
    deadline_seconds=30,
    expires_seconds=WARMUP_EXPIRES_SECONDS,
    retries=5,
)
async def warm_predicates(
    parts: Parts, addresses: Sequence[str], chain_id: int, later: bool = False
) -> Sequence[Follow]:
    """Fetch these predicates on one network: one node request, at most `BATCH_SIZE` of them.

    What is `later` than a login may have at once goes behind other calls to the node, too.
    """
    if _switched_off(parts, WARM_PREDICATES):
        return ()
    wanted = operations.parse_addresses(addresses)
    reader = parts.reader(operations.parse_chain_id(chain_id))
    mine, *others = operations.in_batches(wanted, BATCH_SIZE)
    report = await operations.warm(
        reader,
        parts.cache,
        mine,
        lane=_queue(later=later).lane,
        skip_fresh=parts.settings.warmup_skip_cached,
    )
    log_report("warm_up.fetched", chain_id, report)
    if report.remaining:
        left = [*report.remaining, *(address for batch in others for address in batch)]
        raise UnfinishedError(report.reason, (left, chain_id, later))
    return [_subtask(operations.Batch(chain_id, batch, later)) for batch in others]


def _queue(*, later: bool) -> Queue:
    return Queue.REFRESH if later else Queue.WARMUP
