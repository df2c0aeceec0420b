"""Is what we call fresh what the chain says? A sample of it is compared, again and again."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from domain.ports import BalanceCache
from domain.values import ChainId
from tasks import operations
from tasks.auditing import AuditReport, audit
from tasks.declare import declare_task
from tasks.later import Follow
from tasks.names import AUDIT, REFILL, Queue
from tasks.parts import Parts
from tasks.switches import is_switched_off

_log = structlog.get_logger("tasks")


@declare_task(AUDIT, queue=Queue.REFRESH, deadline_seconds=40, expires_seconds=60, retries=0)
async def audit_balances(parts: Parts, chain_id: int) -> Sequence[Follow]:
    """Compare a sample of one network's fresh balances with the node; heal what is wrong.

    The sample is drawn by traffic, and goes on with a walk through everybody.
    """
    settings = parts.settings
    if is_switched_off(
        AUDIT,
        {
            "ENABLE_BALANCE_CACHE=false": settings.enable_balance_cache,
            "AUDIT_ENABLED=false": settings.audit_enabled,
        },
    ):
        return ()
    chain = operations.parse_chain_id(chain_id)
    reader = parts.reader(chain)
    busy = await parts.audit_sample.by_traffic(chain, settings.audit_sample)
    sample = dict.fromkeys([*busy, *await parts.audit_sample.in_turn(chain, settings.audit_sample)])
    report = await audit(
        list(sample),
        parts.comparer(chain),
        parts.cache,
        reader,
        grace_seconds=settings.audit_grace_seconds,
    )
    await parts.tally.add(**report.counts())
    parts.measures.audited(
        chain, agreed=report.agreed, late=report.late, violations=report.violations_by_kind()
    )
    _log.info(
        "audit.done",
        chain_id=chain,
        agreed=report.agreed,
        late=report.late,
        violations=len(report.violations),
        unknown=report.unknown,
    )
    return await refills_left(report, parts.cache, chain)


async def refills_left(
    report: AuditReport, cache: BalanceCache, chain_id: ChainId
) -> Sequence[Follow]:
    """Return who sees to those that were declared wrong and could not be refilled at once.

    Raises:
        CacheUnavailableError: Redis does not answer.
    """
    left = await cache.not_fresh(chain_id, list(report.violations))
    if not left:
        return ()
    height = max(report.violations[address].told.height for address in left)
    return (Follow(REFILL, (list(left), chain_id, height), Queue.INVALIDATION),)
