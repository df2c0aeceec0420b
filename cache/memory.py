"""The in-memory twin of the Redis store, for one process, with the clock passed in.

It keeps the same promises, proven by the same contract suite; it knows no foreign writers,
because nobody else can reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cache.checks import check_invalidation, check_lease_permits
from cache.codec import encode
from cache.lives import PROBATION_FRESH_SECONDS, PROBATION_SECONDS, Lives, milliseconds
from cache.memory_hot import Look, MemoryHotSet
from domain.ports import Busy, Lease, PublishOutcome
from domain.values import (
    Address,
    BlockHeight,
    ChainId,
    Fresh,
    Missing,
    ReadAnswer,
    Snapshot,
    Stale,
    StaleReason,
    StoredSnapshot,
)

_LOOK_SECONDS = 0.01
"""A clock that is passed in tells nobody when it moves: waiters look at it this often."""


@dataclass
class _Entry:
    """All that is known of one predicate on one chain. Times are milliseconds of the clock."""

    last_known: StoredSnapshot | None = None
    keep_until: float = 0
    fresh: bool = False
    fresh_until: float = 0
    soft_until: float = 0
    generation: int = 0
    published_generation: int = 0
    minimum: BlockHeight = 0
    probation_until: float = 0
    upper: BlockHeight = 0
    version: int = 0
    token: str | None = None
    deadline: float = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def end_lease(self) -> None:
        self.token = None
        self.ended.set()
        self.ended = asyncio.Event()


class MemoryBalanceCache:
    """`domain.ports.BalanceCache` in this process's memory.

    ``clock`` returns seconds; it may stand still and jump.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        *,
        chain_ids: Sequence[ChainId] = (9889, 0),
        fresh_seconds: float = 600,
        keep_seconds: float = 86_400,
        flag_seconds: float = 3_600,
        lease_seconds: float = 10,
        transaction_cache_seconds: float = 600,
        hot_life_seconds: float = 3_600,
        refresh_ahead_seconds: float = 60,
        jitter: float = 0,
        probation_seconds: float = PROBATION_SECONDS,
        probation_fresh_seconds: float = PROBATION_FRESH_SECONDS,
    ) -> None:
        self._clock = clock
        self._chain_ids = tuple(chain_ids)
        self._lives = Lives(
            fresh_seconds=fresh_seconds,
            keep_seconds=keep_seconds,
            flag_seconds=flag_seconds,
            lease_seconds=lease_seconds,
            transaction_cache_seconds=transaction_cache_seconds,
            hot_life_seconds=hot_life_seconds,
            refresh_ahead_seconds=refresh_ahead_seconds,
            jitter=jitter,
            probation_seconds=probation_seconds,
            probation_fresh_seconds=probation_fresh_seconds,
        )
        self._entries: dict[tuple[ChainId, Address], _Entry] = {}
        self.schedule = MemoryHotSet(clock, self._lives, self._look)
        self._counts: Counter[str] = Counter()
        self._tokens = itertools.count(1)
        self._floors: Counter[ChainId] = Counter()

    async def read(
        self, chain_id: ChainId, addresses: Sequence[Address], *, counted: bool = True
    ) -> Mapping[Address, ReadAnswer]:
        """Read many predicates on one chain."""
        answers = {a: self._answer(self._entry(chain_id, a)) for a in dict.fromkeys(addresses)}
        names = {Fresh: "hits", Stale: "stale", Missing: "misses"}
        if counted:
            self._counts.update(names[type(answer)] for answer in answers.values())
        return answers

    async def not_fresh(
        self, chain_id: ChainId, addresses: Sequence[Address]
    ) -> tuple[Address, ...]:
        """Return those that a reader would have to wait for, in order."""
        answers = await self.read(chain_id, addresses, counted=False)
        return tuple(a for a, answer in answers.items() if not isinstance(answer, Fresh))

    async def acquire(
        self,
        chain_id: ChainId,
        addresses: Sequence[Address],
        *,
        seen: Mapping[Address, int] | None = None,
    ) -> Mapping[Address, Lease | Busy]:
        """Ask for the lease of each predicate: whoever gets it fetches, others wait."""
        return {
            address: self._acquire(chain_id, address, None if seen is None else seen.get(address))
            for address in dict.fromkeys(addresses)
        }

    async def extend(self, leases: Sequence[Lease]) -> Mapping[Address, bool]:
        """Prolong leases that are still ours; False where a lease is lost."""
        answers = {}
        for lease in leases:
            entry = self._entry(lease.chain_id, lease.address)
            answers[lease.address] = entry.token == lease.token
            if entry.token == lease.token:
                entry.deadline = self._now() + self._lives.lease_seconds * 1000
        return answers

    async def publish(
        self, leased: Sequence[tuple[Lease, Snapshot]]
    ) -> Mapping[Address, PublishOutcome]:
        """Store each snapshot if its lease still permits it; the lease ends either way.

        Raises:
            InvalidValueError: a snapshot of another predicate or chain than its lease.
        """
        for lease, snapshot in leased:
            check_lease_permits(lease, snapshot)
        outcomes = {lease.address: self._publish(lease, snapshot) for lease, snapshot in leased}
        self._counts.update(outcome.value for outcome in outcomes.values())
        return outcomes

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back unused; another's lease is never touched."""
        for lease in leases:
            entry = self._entry(lease.chain_id, lease.address)
            if entry.token == lease.token:
                entry.end_lease()

    async def wait_published(
        self, chain_id: ChainId, addresses: Sequence[Address], timeout_seconds: float
    ) -> None:
        """Return when each predicate's present lease has ended, or at the timeout."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                for address in addresses:
                    entry = self._entry(chain_id, address)
                    ended = entry.ended
                    while entry.token is not None and not ended.is_set():
                        if entry.deadline <= self._now():
                            break
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(_LOOK_SECONDS):
                                await ended.wait()

    async def invalidate(
        self,
        addresses: Sequence[Address],
        chain_id: ChainId | None = None,
        height: BlockHeight | None = None,
    ) -> None:
        """Declare what is stored wrong, and what is true below `height`.

        Raises:
            InvalidValueError: a height without a chain id, or one that no chain can have.
        """
        check_invalidation(chain_id, height)
        for address, chain in self._each(addresses, chain_id):
            entry = self._entry(chain, address)
            entry.generation += 1
            entry.minimum = max(entry.minimum, height or 0)
            if height is None:
                entry.probation_until = self._now() + self._lives.probation_ms
            entry.fresh = False
            entry.end_lease()
            self.schedule.reschedule(chain, address, self._now())
        self._counts["invalidations"] += len(set(addresses))

    async def require(self, chain_id: ChainId, height: BlockHeight) -> None:
        """Publish nothing of this chain any more that is true below the height.

        Raises:
            InvalidValueError: a height that no chain can have.
        """
        check_invalidation(chain_id, height)
        self._floors[chain_id] = max(self._floors[chain_id], height)

    async def clear(self, addresses: Sequence[Address], chain_id: ChainId | None = None) -> int:
        """Forget snapshots, fresh and last known; returns how many went."""
        gone = 0
        for address, chain in self._each(addresses, chain_id):
            entry = self._entry(chain, address)
            gone += entry.fresh + (entry.last_known is not None)
            entry.fresh, entry.last_known, entry.upper = False, None, 0
        return gone

    async def clear_invalidation(
        self, addresses: Sequence[Address], chain_id: ChainId | None = None
    ) -> None:
        """There are no drop-in flags here; what is invalidated stays so until a publish."""

    async def mark_read(self, chain_id: ChainId, addresses: Sequence[Address]) -> None:
        """Note that somebody looks at these predicates: they join or stay in the hot set."""
        self.schedule.mark_read(chain_id, addresses)

    async def due(self, chain_id: ChainId, limit: int) -> Sequence[Address]:
        """Return hot predicates that are about to expire or not fresh, most overdue first."""
        return self.schedule.due(chain_id, limit)

    async def stats(self) -> Mapping[str, object]:
        """Return counters and settings for people."""
        fresh: Counter[str] = Counter()
        for (chain_id, _), entry in self._entries.items():
            self._age(entry)
            fresh[str(chain_id)] += entry.fresh
        by_chain = {chain_id: number for chain_id, number in fresh.items() if number}
        names = ("hits", "stale", "misses", "foreign", "poisoned", "invalidations", "published")
        return {
            "type": "memory",
            "ttl": self._lives.fresh_seconds,
            **{name: self._counts[name] for name in names},
            **self._counts,
            "total_keys": sum(by_chain.values()),
            "by_chain": by_chain,
        }

    async def aclose(self) -> None:
        """Nothing is open."""

    def _now(self) -> float:
        return self._clock() * 1000

    def _each(
        self, addresses: Sequence[Address], chain_id: ChainId | None
    ) -> Iterable[tuple[Address, ChainId]]:
        chains = self._chain_ids if chain_id is None else (chain_id,)
        return itertools.product(dict.fromkeys(addresses), chains)

    def _entry(self, chain_id: ChainId, address: Address) -> _Entry:
        entry = self._entries.setdefault((chain_id, address), _Entry())
        self._age(entry)
        return entry

    def _look(self, chain_id: ChainId, address: Address) -> Look:
        entry = self._entry(chain_id, address)
        announced = entry.generation > entry.published_generation
        return Look(entry.last_known, entry.fresh_until if entry.fresh else 0, announced)

    def _age(self, entry: _Entry) -> None:
        now = self._now()
        entry.fresh = entry.fresh and now < entry.fresh_until
        if now >= entry.keep_until:
            entry.last_known = None

    def _answer(self, entry: _Entry) -> ReadAnswer:
        if entry.last_known is None:
            return Missing()
        age = max(0, int(self._now()) - entry.last_known.timestamp_ms)
        if entry.fresh:
            return Fresh(entry.last_known, age, due=self._now() >= entry.soft_until)
        invalidated = entry.generation > entry.published_generation
        reason = StaleReason.INVALIDATED if invalidated else StaleReason.EXPIRED
        return Stale(entry.last_known, age, reason)

    def _acquire(self, chain_id: ChainId, address: Address, seen: int | None) -> Lease | Busy:
        entry, now = self._entry(chain_id, address), self._now()
        if seen is not None and entry.fresh and entry.version > seen:
            return Busy(0)
        if entry.token is not None and entry.deadline > now:
            return Busy(int(entry.deadline - now))
        if entry.token is not None:
            entry.end_lease()
        entry.token = str(next(self._tokens))
        lease_ms = milliseconds(self._lives.lease_seconds)
        entry.deadline = now + lease_ms
        required = max(entry.minimum, entry.upper, self._floors[chain_id])
        return Lease(address, chain_id, entry.token, required, lease_ms)

    def _publish(self, lease: Lease, snapshot: Snapshot) -> PublishOutcome:
        entry, now = self._entry(lease.chain_id, lease.address), self._now()
        if entry.token != lease.token:
            return PublishOutcome.LEASE_LOST
        entry.end_lease()
        if snapshot.height < max(entry.minimum, self._floors[lease.chain_id]):
            return PublishOutcome.BELOW_MINIMUM
        if snapshot.height < entry.upper:
            return PublishOutcome.OLDER_THAN_STORED
        if encode(snapshot, 0).is_too_large:
            return PublishOutcome.TOO_LARGE
        fresh_ms = self._lives.draw_fresh_ms()
        if entry.probation_until > now:  # it may be a lagging node's old answer
            fresh_ms = min(fresh_ms, self._lives.probation_fresh_ms)
        ahead_ms = self._lives.ahead_ms(fresh_ms)
        entry.version += 1
        entry.last_known = StoredSnapshot(snapshot, int(now), entry.version)
        entry.upper = max(snapshot.height, snapshot.height_upper or 0)
        entry.published_generation = entry.generation
        entry.fresh, entry.fresh_until = True, now + fresh_ms
        entry.soft_until, entry.keep_until = now + fresh_ms - ahead_ms, now + self._lives.keep_ms
        self.schedule.reschedule(lease.chain_id, lease.address, entry.soft_until)
        return PublishOutcome.PUBLISHED
