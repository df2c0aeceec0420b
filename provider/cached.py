"""Balances through the cache: the transparent wrapper, and what the API and the tasks call.

What a read may call fresh is decided by the cache alone: after a refill the cache is read again,
so that an invalidation that came in between is seen. Only while the cache is away the node's word
is passed on as it is, and says so (`Source.NODE`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from domain.errors import (
    CacheUnavailableError,
    NodeUnreachableError,
    ProviderError,
    RegistryUnavailableError,
    TransientProviderError,
)
from domain.events import EventLog
from domain.measures import Measures, NoMeasures
from domain.networks import Network
from domain.ports import (
    NO_DEMAND,
    BalanceCache,
    BalanceProvider,
    Busy,
    Demand,
    LastKnown,
    Refilled,
    RefillOutcome,
    Served,
)
from domain.values import Address, BlockHeight, Fresh, Lane, Snapshot
from provider.behind import BackgroundWork, HotMarks, RefreshBehind
from provider.direct import DirectReader
from provider.reads import Reads
from provider.refilling import Refiller

_RESTORE_SECONDS = 1.0
"""How long a read waits for the database to know what the cache has lost."""

_log = structlog.get_logger(__name__)


class CachedProvider:
    """Wraps a provider of one network with a cache (`domain.ports.BalanceReader`).

    Args:
        network: the network.
        provider: who asks the nodes.
        cache: where snapshots are kept.
        read_wait_seconds: how long a read waits for the node, unless it says otherwise.
        durable: where balances are kept that the cache may have lost; None: nowhere.
        keep_seconds: how long the cache keeps the last known.
        events: where it is told what went wrong; None: nowhere.
        enabled: False: every read goes to the node; the cache is neither read nor written.
        measures: is told what readers are given.
    """

    def __init__(
        self,
        network: Network,
        provider: BalanceProvider,
        cache: BalanceCache,
        *,
        read_wait_seconds: float = 5.0,
        enabled: bool = True,
        measures: Measures | None = None,
        durable: LastKnown | None = None,
        keep_seconds: float = 86_400.0,
        events: EventLog | None = None,
    ) -> None:
        self._measures = measures or NoMeasures()
        self.network = network
        self._provider = provider
        self._cache = cache
        self._wait = read_wait_seconds
        self._enabled = enabled
        self._durable = durable
        self._keep_seconds = keep_seconds
        self._refiller = Refiller(network, provider, cache, events)
        self._direct = DirectReader(provider)
        self._work = BackgroundWork()
        self._behind = RefreshBehind(self._work, self._refiller)
        self._marks = HotMarks(self._work, cache, network.chain_id)

    async def get_balances(self, address: Address) -> Snapshot:
        """Return the balances of one predicate, from the cache if they are fresh there.

        Raises:
            ProviderError: nothing fresh can be had in time.
        """
        reads = await self._read([address], allow_stale=False, wait_seconds=self._wait)
        answer = reads.served[address].answer
        if isinstance(answer, Fresh):
            return answer.stored.snapshot
        raise reads.failures.get(
            address, NodeUnreachableError(f"no fresh balances of {address} in time")
        )

    async def read_many(
        self,
        addresses: Sequence[Address],
        *,
        allow_stale: bool = False,
        wait_seconds: float | None = None,
        demand: Demand = NO_DEMAND,
    ) -> Mapping[Address, Served]:
        """Answer from the cache; fetch what is not fresh (see `domain.ports.BalanceReader`)."""
        wait = self._wait if wait_seconds is None else wait_seconds
        reads = await self._read(
            addresses, allow_stale=allow_stale, wait_seconds=wait, demand=demand
        )
        return reads.outcome()

    def served_again(self, served: Mapping[Address, Served], times: int) -> None:
        """Count answers that were sent again (see `domain.ports.BalanceReader`)."""
        self._marks.add(list(served))
        self._measures.looked(
            self.network.chain_id, hits=len(served) * times, expired=0, invalidated=0, misses=0
        )
        self._measures.served(self.network.chain_id, served.values(), times)

    async def _read(
        self,
        addresses: Sequence[Address],
        *,
        allow_stale: bool,
        wait_seconds: float,
        demand: Demand = NO_DEMAND,
    ) -> Reads:
        reads = await self._read_unmeasured(addresses, allow_stale, wait_seconds, demand)
        self._measures.served(self.network.chain_id, reads.served.values())
        return reads

    async def _read_unmeasured(
        self,
        addresses: Sequence[Address],
        allow_stale: bool,
        wait_seconds: float,
        demand: Demand,
    ) -> Reads:
        deadline = asyncio.get_running_loop().time() + wait_seconds
        reads = Reads(addresses, deadline=deadline, demand=demand)
        if not self._enabled:
            answers = await self._provider.fetch_many(
                reads.wanted,
                required_height=demand.min_height,
                lane=Lane.READ,
                deadline_seconds=wait_seconds,
            )
            reads.take_from_node(answers)
            return reads
        try:
            await self._look(reads, counted=True)
            self._marks.add(list(reads.served))
            lost = await self._restore(reads)
            behind = [*lost, *reads.content_with(allow_stale=allow_stale)]
            self._behind.start(reads.versions(behind))
            begun = False
            # Begun even by a reader who has no time: the next one finds it.
            while reads.wanted and (reads.seconds_left() > 0 or not begun):
                begun = True
                await self._refill_and_look(reads)
        except CacheUnavailableError:
            answers = await self._direct.fetch(
                reads.wanted, reads.seconds_left(), demand.min_height
            )
            reads.take_from_node(answers)
            await self._restore(reads)
        return reads

    async def _restore(self, reads: Reads) -> list[Address]:
        """Ask the database for what the cache does not know; return whom not to wait for."""
        missing = reads.missing()
        if self._durable is None or not missing:
            return []
        try:
            async with asyncio.timeout(_RESTORE_SECONDS):
                found = await self._durable.last_known(self.network.chain_id, missing)
        except (RegistryUnavailableError, TimeoutError) as error:
            _log.warning("nothing_restored", reason=str(error) or type(error).__name__)
            return []
        return reads.take_restored(found, keep_seconds=self._keep_seconds)

    async def _look(self, reads: Reads, *, counted: bool) -> None:
        """Take what the cache holds; the first look alone is a hit or a miss."""
        answers = await self._cache.read(self.network.chain_id, reads.wanted, counted=counted)
        reads.take_from_cache(answers)

    async def _refill_and_look(self, reads: Reads) -> None:
        outcomes = await self._refill_in_time(reads)
        if outcomes is None:
            return  # time is over: what is known already is served
        busy = {a: outcome for a, outcome in outcomes.items() if isinstance(outcome, Busy)}
        if busy:
            await self._wait_for_others(busy, reads)
        reads.note_refilled(outcomes)
        await self._look(reads, counted=False)
        reads.take_failures(outcomes)

    async def _refill_in_time(self, reads: Reads) -> Mapping[Address, RefillOutcome] | None:
        """Refill until the reader's time is over; the refill itself goes on for the next one."""
        seen = reads.versions(reads.wanted)
        refill = self._refiller.refill(
            reads.wanted,
            lane=Lane.READ,
            required_height=reads.demand.min_height,
            seen=seen,
        )
        task = self._work.start(refill)
        await asyncio.wait({task}, timeout=reads.seconds_left())
        return task.result() if task.done() else None

    async def _wait_for_others(self, busy: Mapping[Address, Busy], reads: Reads) -> None:
        longest = max(outcome.wait_ms for outcome in busy.values()) / 1000
        await self._cache.wait_published(
            self.network.chain_id, list(busy), max(0.0, min(longest, reads.seconds_left()))
        )

    async def refill(
        self, addresses: Sequence[Address], *, lane: Lane, required_height: BlockHeight = 0
    ) -> Mapping[Address, RefillOutcome]:
        """Take leases, fetch, publish (see `domain.ports.BalanceReader`).

        Empty when the cache is switched off: nothing is fetched then.

        Raises:
            CacheUnavailableError: no lease can be had.
        """
        if not self._enabled:
            return {}
        return await self._refiller.refill(addresses, lane=lane, required_height=required_height)

    async def get_balances_force_refresh(self, address: Address) -> Snapshot:
        """Ask the node whatever the cache holds, publish what it tells, and return it.

        Another's fetch that is under way is waited for, then our own begins: what it would bring
        may be older than the moment of this call.

        Raises:
            ProviderError: the node gave no balances, or they kept changing.
        """
        if not self._enabled:
            return await self._ask_node(address)
        deadline = asyncio.get_running_loop().time() + self._wait
        reads = Reads([address], deadline=deadline)
        try:
            while reads.seconds_left() > 0:
                outcome = (await self._refiller.refill([address], lane=Lane.READ))[address]
                if isinstance(outcome, Refilled):
                    return outcome.snapshot
                if not isinstance(outcome, Busy):
                    raise _as_error(address, outcome.error)
                await self._wait_for_others({address: outcome}, reads)
        except CacheUnavailableError:
            return await self._ask_node(address)
        raise NodeUnreachableError(f"another fetch of {address} did not end in time")

    async def _ask_node(self, address: Address) -> Snapshot:
        answer = (await self._provider.fetch_many([address], lane=Lane.READ))[address]
        if isinstance(answer, ProviderError):
            raise answer
        return answer

    async def close(self) -> None:
        """End what goes on in the background; provider and cache are closed by their owner."""
        await self._work.close()
        await self._direct.close()


def _as_error(address: Address, error: object) -> ProviderError:
    if isinstance(error, ProviderError):
        return error
    return TransientProviderError(f"the balances of {address} were not accepted: {error}")
