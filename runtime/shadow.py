"""Shadow mode: serve as before, and compare what was served, off every request path.

What is served fresh is compared with the node's own answer at that height or later, and with what
Bako's own cache says where that is another Redis. Differences are counted and logged; nothing is
changed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

import structlog

from cache.foreign import ForeignBalances
from cache.tally import Tally
from domain.errors import BalanceCacheError
from domain.networks import Network
from domain.ports import NO_DEMAND, BalanceReader, Demand, RefillOutcome, Served
from domain.values import Address, BlockHeight, ChainId, Fresh, Lane, StoredSnapshot
from provider.behind import BackgroundWork
from provider.comparing import Comparer, Difference, same_balances, sides

MOST_WAITING = 1_000
"""Vaults of one network that wait to be compared; what comes beyond is counted, not compared."""

PORTION = 200
"""Vaults that one comparison takes: one node request."""

GATHER_SECONDS = 1.0
"""How long vaults are gathered, so that a page of ten is one request."""

_log = structlog.get_logger(__name__)


class Shadow:
    """Compares what was served. Bounded: a node request a second and network at most.

    Args:
        comparers: by chain; what asks the nodes, in the lowest lane of the budget.
        tally: counts.
        foreign: Bako's own cache, where it is another one than ours.
        grace_seconds: how long a difference may last until it counts.
    """

    def __init__(
        self,
        comparers: Mapping[ChainId, Comparer],
        tally: Tally,
        foreign: ForeignBalances | None,
        grace_seconds: float,
    ) -> None:
        self._comparers = comparers
        self._tally = tally
        self._foreign = foreign
        self._grace = grace_seconds
        self._waiting: defaultdict[ChainId, dict[Address, StoredSnapshot]] = defaultdict(dict)
        self._running: set[ChainId] = set()
        self._dropped = 0
        self._work = BackgroundWork()

    def note(self, chain_id: ChainId, served: Mapping[Address, Served]) -> None:
        """Take note of what was served; costs its reader next to nothing."""
        waiting = self._waiting[chain_id]
        for address, one in served.items():
            if not isinstance(one.answer, Fresh):
                continue
            if len(waiting) >= MOST_WAITING and address not in waiting:
                self._dropped += 1
                continue
            waiting[address] = one.answer.stored
        if waiting and chain_id not in self._running:
            self._running.add(chain_id)
            self._work.start(self._run(chain_id))

    async def _run(self, chain_id: ChainId) -> None:
        try:
            while self._waiting[chain_id]:
                await asyncio.sleep(GATHER_SECONDS)
                waiting = self._waiting[chain_id]
                portion = {a: waiting.pop(a) for a in list(waiting)[:PORTION]}
                try:
                    await self._compare(chain_id, portion)
                except BalanceCacheError as error:
                    _log.warning("shadow.not_compared", chain_id=chain_id, reason=str(error))
        finally:
            self._running.discard(chain_id)

    async def _compare(self, chain_id: ChainId, portion: Mapping[Address, StoredSnapshot]) -> None:
        foreign = {} if self._foreign is None else await self._foreign.read(chain_id, list(portion))
        comparer = self._comparers[chain_id]
        comparison = await comparer.compare(list(portion))
        standing, late = await comparer.outlasting(comparison.suspected, self._grace)
        for suspicion in standing.values():
            _log.warning("shadow.differs_from_node", **suspicion.described())
        kinds = [suspicion.difference for suspicion in standing.values()]
        dropped, self._dropped = self._dropped, 0
        await self._tally.add(
            shadow_samples=len(comparison.agreed) + len(comparison.suspected),
            shadow_late=len(late),
            shadow_dropped=dropped,
            shadow_foreign_samples=len(foreign),
            shadow_foreign_differs=self._differing(portion, foreign, comparison.agreed),
            **{f"shadow_{kind.value}": kinds.count(kind) for kind in Difference},
        )

    def _differing(
        self,
        ours: Mapping[Address, StoredSnapshot],
        theirs: Mapping[Address, StoredSnapshot],
        confirmed: Sequence[Address],
    ) -> int:
        """Log and count where Bako's cache says something else than we served."""
        differing = 0
        for address, stored in theirs.items():
            served, found = ours[address].snapshot, stored.snapshot
            if same_balances(served.balances, found.balances):
                continue
            differing += 1
            _log.warning(
                "shadow.differs_from_bako",
                address=address,
                chain_id=served.chain_id,
                node_agrees_with_us=address in confirmed,
                our_timestamp=ours[address].timestamp_ms,
                bako_timestamp=stored.timestamp_ms,
                **sides(ours=served.balances, bako=found.balances),
            )
        return differing

    async def close(self) -> None:
        """End what is under way."""
        await self._work.close()
        if self._foreign is not None:
            await self._foreign.aclose()


class ShadowedReader:
    """A reader whose answers are compared behind it (`domain.ports.BalanceReader`)."""

    def __init__(self, reader: BalanceReader, shadow: Shadow) -> None:
        self.network: Network = reader.network
        self._reader = reader
        self._shadow = shadow

    async def read_many(
        self,
        addresses: Sequence[Address],
        *,
        allow_stale: bool = False,
        wait_seconds: float | None = None,
        demand: Demand = NO_DEMAND,
    ) -> Mapping[Address, Served]:
        """Answer as the reader does, and note what it answered."""
        served = await self._reader.read_many(
            addresses, allow_stale=allow_stale, wait_seconds=wait_seconds, demand=demand
        )
        self._shadow.note(self.network.chain_id, served)
        return served

    def served_again(self, served: Mapping[Address, Served], times: int) -> None:
        """Count as the reader does, and note what was answered again."""
        self._reader.served_again(served, times)
        self._shadow.note(self.network.chain_id, served)

    async def refill(
        self, addresses: Sequence[Address], *, lane: Lane, required_height: BlockHeight = 0
    ) -> Mapping[Address, RefillOutcome]:
        """Refill as the reader does."""
        return await self._reader.refill(addresses, lane=lane, required_height=required_height)
