"""A confirmed transaction: its vaults' balances are declared wrong and fetched again at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from domain.errors import CacheUnavailableError, UnknownNetworkError
from domain.values import Address
from tasks import operations
from tasks.declare import Follow, UnfinishedError, declare_task
from tasks.names import INVALIDATE, REFILL, Queue
from tasks.parts import Parts
from tasks.reporting import log_report

_REFILL_SECONDS = 12.0
"""How long an invalidation waits for its own refill before that becomes a task of its own."""

_log = structlog.get_logger("tasks")


@declare_task(
    INVALIDATE, queue=Queue.INVALIDATION, deadline_seconds=20, expires_seconds=None, retries=None
)
async def invalidate(
    parts: Parts,
    addresses: Sequence[str],
    chain_id: int | None = None,
    block_height: int | None = None,
    transaction_id: str | None = None,
) -> Sequence[Follow]:
    """Invalidate at once, then refill; what cannot be refilled now goes on as `balances.refill`.

    Accepted means done: the message goes back to its lane until the invalidation has happened.
    Running it twice invalidates once more than needed, which costs a fetch and no rightness.

    With `ENABLE_BALANCE_CACHE=false` it still records the invalidation, without any node call:
    otherwise switching the cache on again would serve what was declared wrong meanwhile. See
    docs/decisions/0050-invalidations-while-switched-off.md.
    """
    wanted = operations.parse_addresses(addresses)
    chain_ids = _chains(parts, chain_id)
    height = operations.parse_block_height(block_height)
    await operations.invalidate(parts.cache, wanted, chain_id=chain_id, block_height=height)
    _log.info(
        "invalidation.done",
        chain_id=chain_id,
        block_height=height,
        transaction_id=transaction_id,
        predicates=len(wanted),
    )
    if not parts.settings.enable_balance_cache:
        _log.info("task.switched_off", task=INVALIDATE, by="ENABLE_BALANCE_CACHE=false")
        return ()
    follows = await asyncio.gather(
        *(_refilled_or_followed(parts, wanted, each, height) for each in chain_ids)
    )
    return [follow for some in follows for follow in some]


@declare_task(
    REFILL, queue=Queue.INVALIDATION, deadline_seconds=20, expires_seconds=None, retries=400
)
async def refill(
    parts: Parts, addresses: Sequence[str], chain_id: int, block_height: int | None = None
) -> Sequence[Follow]:
    """Refill what an invalidation left without a fresh snapshot, until it is there.

    A node that is down or behind is asked again, at the end every 15 s, for more than an hour.
    Until then readers get the last known balances, marked stale.
    """
    if not parts.settings.enable_balance_cache:
        _log.info("task.switched_off", task=REFILL, by="ENABLE_BALANCE_CACHE=false")
        return ()
    wanted = operations.parse_addresses(addresses)
    height = operations.parse_block_height(block_height)
    (known,) = _chains(parts, operations.parse_chain_id(chain_id))
    report = await operations.refill_invalidated(
        parts.reader(known), parts.cache, wanted, block_height=height or 0
    )
    log_report("invalidation.refilled", known, report, block_height=height)
    if report.remaining:
        raise UnfinishedError(report.reason, (list(report.remaining), known, height))
    return ()


def _chains(parts: Parts, chain_id: int | None) -> tuple[int, ...]:
    """Return the chains meant, refusing one that is not configured before anything is written.

    Raises:
        UnknownNetworkError: the chain is not on the allow-list.
    """
    if chain_id is None:
        return parts.settings.chain_ids
    known = operations.parse_chain_id(chain_id)
    if known not in parts.settings.chain_ids:
        raise UnknownNetworkError(known)
    return (known,)


async def _refilled_or_followed(
    parts: Parts, addresses: Sequence[Address], chain_id: int, height: int | None
) -> Sequence[Follow]:
    """Refill now; whatever fails is a follow-up, because the invalidation itself is done."""
    left = tuple(addresses)
    try:
        async with asyncio.timeout(_REFILL_SECONDS):
            report = await operations.refill_invalidated(
                parts.reader(chain_id), parts.cache, addresses, block_height=height or 0
            )
        log_report("invalidation.refilled", chain_id, report, block_height=height)
        left = report.remaining
    except (CacheUnavailableError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        _log.warning("invalidation.refill_follows", chain_id=chain_id, reason=reason)
    return [Follow(REFILL, (list(left), chain_id, height), Queue.INVALIDATION)] if left else []
