"""A confirmed transaction: its vaults' balances are declared wrong and fetched again at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from domain.errors import UnknownNetworkError
from domain.events import invalidated
from domain.values import Address
from tasks import journal, operations
from tasks.app import app
from tasks.declare import UnfinishedError, declare_task
from tasks.delivery import current_delivery
from tasks.later import Follow
from tasks.names import INVALIDATE, PUBLISH_LOST, REFILL, Queue
from tasks.parts import Parts
from tasks.reporting import log_report
from tasks.switches import is_switched_off

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
    """Invalidate at once; `balances.refill` follows.

    The refill is a message of its own, so that it comes behind the invalidations that are here
    already: many of one vault cost one refill, those of several vaults share a request.

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
    by = f"transaction {transaction_id}" if transaction_id else f"task {INVALIDATE}"
    for each in chain_ids:
        await parts.vault_log.note(each, invalidated(wanted, by, height))
    _log.info(
        "invalidation.done",
        chain_id=chain_id,
        block_height=height,
        transaction_id=transaction_id,
        predicates=len(wanted),
    )
    if is_switched_off(
        INVALIDATE, {"ENABLE_BALANCE_CACHE=false": parts.settings.enable_balance_cache}
    ):
        return ()
    for each in chain_ids:
        await parts.companions.add(each, wanted)
    return [Follow(REFILL, (list(wanted), each, height), Queue.INVALIDATION) for each in chain_ids]


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
    if is_switched_off(REFILL, {"ENABLE_BALANCE_CACHE=false": parts.settings.enable_balance_cache}):
        return ()
    wanted = operations.parse_addresses(addresses)
    height = operations.parse_block_height(block_height)
    (known,) = _chains(parts, operations.parse_chain_id(chain_id))
    left = await parts.cache.not_fresh(known, wanted)
    if not left:
        return ()  # another message's refill took these along
    report = await operations.refill_invalidated(
        parts.reader(known),
        parts.cache,
        left,
        block_height=height or 0,
        companions=await _companions(parts, known, left),
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


async def _companions(parts: Parts, chain_id: int, wanted: Sequence[Address]) -> Sequence[Address]:
    """Return other invalidated predicates, as many as the same request carries.

    None at a second try: what failed once must not fail others with it.
    """
    if current_delivery().retries:
        return ()
    free = parts.vaults_per_request(chain_id) - len(wanted)
    found = await parts.companions.take(chain_id, max(free, 0) + len(wanted))
    others = [address for address in found if address not in set(wanted)]
    kept, too_many = others[: max(free, 0)], others[max(free, 0) :]
    if too_many:
        await parts.companions.add(chain_id, too_many)
    return await parts.cache.not_fresh(chain_id, kept)


@declare_task(
    PUBLISH_LOST, queue=Queue.INVALIDATION, deadline_seconds=10, expires_seconds=10, retries=0
)
async def publish_lost(parts: Parts) -> Sequence[Follow]:  # noqa: ARG001 - the journal is the broker's
    """Publish again what the broker accepted and what shows no sign of life since."""
    await asyncio.to_thread(journal.publish_lost, app)
    return ()
