"""Leases are prolonged while the node is asked: a slow node is no dead leader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from domain.errors import CacheUnavailableError
from domain.ports import BalanceCache, Lease

_PER_LEASE = 3
"""So often within one lease it is prolonged: one failure, or one late wake-up, loses nothing."""


@asynccontextmanager
async def prolonged(cache: BalanceCache, leases: Sequence[Lease]) -> AsyncIterator[None]:
    """Keep these leases for the length of the block.

    Without it a node that answers later than a lease lasts would never fill the cache while
    readers come: each would take over the lease of the one before. What ends the wait for a node
    is the deadline of the fetch. A lease that is lost (invalidated, say) is not asked for again.
    """
    keeper = asyncio.create_task(_prolong(cache, leases), name="prolong leases")
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def _prolong(cache: BalanceCache, leases: Sequence[Lease]) -> None:
    pause_seconds = min(lease.lasts_ms for lease in leases) / 1000 / _PER_LEASE
    while leases:
        await asyncio.sleep(pause_seconds)
        try:
            kept = await cache.extend(leases)
        except CacheUnavailableError:
            continue  # it may be back before they end
        leases = [lease for lease in leases if kept[lease.address]]
