"""The follower of the chain: deposits that nobody announced are found in its blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from kombu.exceptions import OperationalError

from domain.errors import CacheUnavailableError, PublishingError
from domain.values import Address, BlockHeight
from runtime.following import FollowedChain
from tasks import operations
from tasks.declare import declare_task
from tasks.following import Follower, FollowLimits
from tasks.later import Follow, publish
from tasks.names import FOLLOW, FOLLOW_SECONDS, REFILL, Queue
from tasks.parts import Parts
from tasks.switches import is_switched_off

_REFILL_PREDICATES = 200
_log = structlog.get_logger("tasks")


@declare_task(
    FOLLOW,
    queue=Queue.INVALIDATION,
    deadline_seconds=5,
    expires_seconds=FOLLOW_SECONDS,
    retries=0,
)
async def follow(parts: Parts, chain_id: int) -> Sequence[Follow]:
    """See to it that somebody follows the chain: this process does from now on if nobody else.

    The follower lives on the process's event loop beside its tasks, so that he holds no place
    among them while he waits for blocks, and ends with the process. Another one takes over when
    his lease is over.
    """
    settings = parts.settings
    if is_switched_off(
        FOLLOW,
        {
            "ENABLE_BALANCE_CACHE=false": settings.enable_balance_cache,
            "FOLLOW_ENABLED=false": settings.follow_enabled,
        },
    ):
        return ()
    chain = parts.followed(operations.parse_chain_id(chain_id))
    if not chain.following.locked():
        limits = FollowLimits(
            interval_seconds=settings.follow_interval_seconds,
            max_gap=settings.follow_max_gap,
            restart_seconds=settings.follow_restart_seconds,
        )
        parts.background.start(_run(parts, chain, limits))
    return ()


async def _run(parts: Parts, chain: FollowedChain, limits: FollowLimits) -> None:
    async def refill(addresses: Sequence[Address], height: BlockHeight) -> None:
        await parts.companions.add(chain.chain_id, addresses)
        await _publish_refills(chain.chain_id, addresses, height)

    async with chain.following:
        try:
            await Follower(chain, limits, refill).run()
        except CacheUnavailableError as error:
            _log.warning("follow.cache_away", chain_id=chain.chain_id, reason=str(error))


async def _publish_refills(
    chain_id: int, addresses: Sequence[Address], height: BlockHeight
) -> None:
    """Ask the invalidation lane for the vaults; raises `PublishingError` without a broker."""
    starts = range(0, len(addresses), _REFILL_PREDICATES)
    batches = [list(addresses[at : at + _REFILL_PREDICATES]) for at in starts]
    follows = [Follow(REFILL, (some, chain_id, height), Queue.INVALIDATION) for some in batches]
    try:
        await asyncio.to_thread(publish, follows)
    except OperationalError as error:
        raise PublishingError(str(error)) from error
