"""The hot set and its refreshes in this process's memory: the twin of hot.py and its scripts."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from cache.lives import Lives
from cache.refresh_schedule import CALLS_IN_A_RUN, CLAIM_SECONDS
from domain.refreshing import (
    LEAST_PRICE,
    Appointment,
    Candidate,
    ChangeRecord,
    Claim,
    RefreshRules,
    faded,
)
from domain.values import Address, ChainId, StoredSnapshot


@dataclass(frozen=True, slots=True)
class Look:
    """What is stored of one predicate. Times are milliseconds of the clock.

    Attributes:
        stored: the last known snapshot.
        fresh_until_ms: the end of its fresh life; 0 when it is over.
        announced: it was invalidated since.
    """

    stored: StoredSnapshot | None
    fresh_until_ms: float
    announced: bool


@dataclass
class _Chain:
    """The hot set of one chain."""

    read_at: OrderedDict[Address, float] = field(default_factory=OrderedDict)
    due: dict[Address, float] = field(default_factory=dict)
    heap: list[tuple[float, Address]] = field(default_factory=list)
    reads: dict[Address, tuple[float, float]] = field(default_factory=dict)
    watched: dict[Address, ChangeRecord] = field(default_factory=dict)
    calls: float | None = None
    calls_at: float = 0.0
    price: float = LEAST_PRICE

    def put(self, address: Address, at: float) -> None:
        self.due[address] = at
        heapq.heappush(self.heap, (at, address))

    def take(self, until: float, limit: int) -> Iterator[Address]:
        """Take the earliest off; whoever asks puts them back."""
        while limit > 0 and self.heap and self.heap[0][0] <= until:
            at, address = heapq.heappop(self.heap)
            if self.due.get(address) == at:  # not one that was put off since
                limit -= 1
                yield address

    def waiting(self, now: float) -> int:
        return sum(at <= now for at in self.due.values())

    def drop_cold(self, since: float) -> None:
        while self.read_at:
            address, at = next(iter(self.read_at.items()))
            if at > since:
                return
            for part in (self.read_at, self.due, self.reads, self.watched):
                part.pop(address, None)


class MemoryHotSet:
    """Who is read, when each must be refreshed, and `domain.ports.RefreshSchedule`."""

    def __init__(
        self,
        clock: Callable[[], float],
        lives: Lives,
        look: Callable[[ChainId, Address], Look],
    ) -> None:
        self._clock = clock
        self._lives = lives
        self._look = look
        self._chains: dict[ChainId, _Chain] = {}

    def mark_read(self, chain_id: ChainId, addresses: Sequence[Address]) -> None:
        """Note that somebody looks at these predicates."""
        chain, now = self._chain(chain_id), self._now()
        memory = self._lives.read_memory_seconds
        for address in dict.fromkeys(addresses):
            chain.read_at[address] = now
            chain.read_at.move_to_end(address)
            count, at = chain.reads.get(address, (0.0, now))
            chain.reads[address] = (faded(count, (now - at) / 1000, memory) + 1, now)
            if address not in chain.due:
                ahead = self._lives.ahead_ms(int(self._lives.fresh_seconds * 1000))
                chain.put(address, max(now, self._look(chain_id, address).fresh_until_ms - ahead))

    def due(self, chain_id: ChainId, limit: int) -> list[Address]:
        """Return hot predicates that are due, the most overdue first."""
        chain, now = self._chain(chain_id), self._now()
        chain.drop_cold(now - self._lives.hot_life_seconds * 1000)
        waiting = sorted((at, address) for address, at in chain.due.items() if at <= now)
        return [address for _, address in waiting[:limit]]

    def reschedule(self, chain_id: ChainId, address: Address, at_ms: float) -> None:
        """Say anew when it is due, if it is hot."""
        chain = self._chain(chain_id)
        if address in chain.due:
            chain.put(address, at_ms)

    async def claim(self, chain_id: ChainId, rules: RefreshRules) -> Claim:
        """Take predicates that are due, and node calls of the budget."""
        chain, now = self._chain(chain_id), self._now()
        chain.drop_cold(now - self._lives.hot_life_seconds * 1000)
        calls = self._grant(chain, rules)
        due, soon = self._take(chain, calls, rules)
        left = 0 if len(due) <= calls * rules.batch_size else chain.waiting(now)
        candidates = [
            self._candidate(chain_id, chain, address, due=at < len(due))
            for at, address in enumerate(due + soon)
        ]
        return Claim(candidates, chain.price, calls, left, self._lives.read_memory_seconds)

    def _take(
        self, chain: _Chain, calls: int, rules: RefreshRules
    ) -> tuple[list[Address], list[Address]]:
        """Take those that are due and one request more than the calls carry, or fill up."""
        if not calls:
            return [], []
        now, size = self._now(), rules.batch_size
        due = list(chain.take(now, (calls + 1) * size))
        places = min(calls, -(-len(due) // size)) * size
        soon = list(chain.take(now + rules.ahead_seconds * 1000, places - len(due)))
        for address in due + soon:
            chain.put(address, now + CLAIM_SECONDS * 1000)
        return due, soon

    async def settle(
        self,
        chain_id: ChainId,
        appointments: Sequence[Appointment],
        *,
        price: float,
        unused_calls: int,
        rules: RefreshRules,
    ) -> None:
        """Make appointments, keep the price, and give back the calls that were not made."""
        chain, now = self._chain(chain_id), self._now()
        for one in appointments:
            if one.address not in chain.due:
                continue
            if chain.due[one.address] > now:
                chain.put(one.address, now + one.delay_seconds * 1000)
            if one.record is not None:
                chain.watched[one.address] = one.record
        chain.price = price
        chain.calls = min(rules.calls_at_once, (chain.calls or 0.0) + unused_calls)

    def _grant(self, chain: _Chain, rules: RefreshRules) -> int:
        now, saved = self._now(), rules.calls_at_once
        level = saved if chain.calls is None else chain.calls
        gained = max(0.0, now - chain.calls_at) * rules.calls_per_minute / 60_000
        level = min(saved, level + gained)
        calls = min(int(level), CALLS_IN_A_RUN)
        chain.calls, chain.calls_at = level - calls, now
        return calls

    def _candidate(
        self, chain_id: ChainId, chain: _Chain, address: Address, *, due: bool
    ) -> Candidate:
        now, look = self._now(), self._look(chain_id, address)
        count, at = chain.reads.get(address, (0.0, now))
        stored = look.stored
        return Candidate(
            address=address,
            reads=faded(count, (now - at) / 1000, self._lives.read_memory_seconds),
            record=chain.watched.get(address, ChangeRecord()),
            stored=stored,
            age_seconds=None if stored is None else max(0.0, (now - stored.timestamp_ms) / 1000),
            fresh=look.fresh_until_ms > now,
            announced=look.announced,
            due=due,
        )

    def _chain(self, chain_id: ChainId) -> _Chain:
        return self._chains.setdefault(chain_id, _Chain())

    def _now(self) -> float:
        return self._clock() * 1000
