"""A day in a moment: the real schedule of refreshes on simulated time, vaults and readers.

Real are the hot set and the schedule (the in-memory twin of the Redis scripts, under the same
contract suite), the arithmetic and the refresh run that the task calls. Simulated are the clock,
the readers, and node and cache in one: what was fetched when, and since when it is wrong.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.traffic import DAY, VAULTS_OF_A_USER, Traffic
from cache.lives import Lives
from cache.memory_hot import Look, MemoryHotSet
from domain.networks import Network
from domain.ports import NO_DEMAND, Demand, Refilled, RefillOutcome, Served
from domain.refreshing import RefreshRules
from domain.values import Address, Balance, BlockHeight, ChainId, Lane, Snapshot, StoredSnapshot
from tasks.refreshing import refresh_worthiest

NETWORK = Network(0, "simulated", ("http://127.0.0.1:1/v1/graphql",))
INTERVAL_SECONDS = 10.0
BATCH_SIZE = 200
HOT_SECONDS = 3_600.0
AHEAD_SECONDS = 60.0
_ASSET = "0x" + "a" * 64
_JITTER = 0.1


class Way(StrEnum):
    """How vaults are kept."""

    TTL = "fixed TTL"  # fetched when a reader finds nothing fresh
    AHEAD = "fixed TTL, refreshed ahead"  # whoever was read lately, before the end of each life
    ADAPTIVE = "adaptive"


@dataclass(frozen=True, slots=True)
class Policy:
    """One point of a curve."""

    way: Way
    fresh_seconds: float
    calls_per_minute: float = 0.0

    @property
    def rules(self) -> RefreshRules:
        """What the schedule is told, as the task derives it from the settings."""
        shortest = self.fresh_seconds * (1 - _JITTER)
        return RefreshRules(
            fresh_seconds=self.fresh_seconds,
            soft_seconds=shortest - min(AHEAD_SECONDS, shortest / 2),
            batch_size=BATCH_SIZE,
            calls_per_minute=self.calls_per_minute,
            interval_seconds=INTERVAL_SECONDS,
            ahead_seconds=AHEAD_SECONDS,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a day was like.

    Attributes:
        reads: vaults that were read.
        right: answered at once, with balances that were true.
        wrong: answered at once, with balances that had changed meanwhile.
        waited: nothing fresh was there; the reader waited for the node.
        calls: node requests, by who made them: refreshes, readers that wait, and behind answers.
    """

    policy: Policy
    reads: int
    right: int
    wrong: int
    waited: int
    calls: Mapping[str, int]


class Day:
    """Node, cache, clock and readers; `domain.ports.BalanceReader` for the refresh run."""

    network = NETWORK

    def __init__(self, policy: Policy, traffic: Traffic, seed: int) -> None:
        self._policy = policy
        self._rules = policy.rules
        self._traffic = traffic
        self._chance = random.Random(seed)
        vaults = len(traffic.change_rates)
        self._names = [f"0x{number:064x}" for number in range(vaults)]
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._fetched = [-1.0] * vaults
        self._fresh_until = [0.0] * vaults
        self._wrong_from = [0.0] * vaults
        self._amounts = [1] * vaults
        self._read_at = [-HOT_SECONDS] * vaults
        self._due: dict[int, float] = {}
        self._waiting: list[tuple[float, int]] = []
        self._now = 0.0
        self._hot = MemoryHotSet(lambda: self._now, self._lives(), self._look)
        self._counts: Counter[str] = Counter()
        self._calls: Counter[str] = Counter(refresh=0, waiting=0, behind=0)

    async def play(self) -> Outcome:
        """Live through the day."""
        next_run = 0.0
        for at, user in self._traffic.views:
            while self._policy.way is not Way.TTL and next_run <= at:
                self._now = next_run
                await self._refresh()
                next_run += INTERVAL_SECONDS
            self._now = at
            self._view(user)
        counts = self._counts
        return Outcome(
            self._policy,
            counts.total(),
            counts["right"],
            counts["wrong"],
            counts["waited"],
            dict(self._calls),
        )

    def _lives(self) -> Lives:
        return Lives(
            fresh_seconds=self._policy.fresh_seconds,
            keep_seconds=DAY,
            flag_seconds=3_600,
            lease_seconds=10,
            transaction_cache_seconds=600,
            hot_life_seconds=HOT_SECONDS,
            refresh_ahead_seconds=AHEAD_SECONDS,
        )

    def _view(self, user: int) -> None:
        """Look at a dashboard; what is not fresh is one request that the reader waits for.

        As the product does, what is served although its refresh is overdue is fetched behind.
        """
        numbers = range(user * VAULTS_OF_A_USER, (user + 1) * VAULTS_OF_A_USER)
        lapsed, overdue = [], []
        for number in numbers:
            self._read_at[number] = self._now
            if self._now >= self._fresh_until[number]:
                lapsed.append(number)
                self._counts["waited"] += 1
                continue
            is_right = self._now < self._wrong_from[number]
            self._counts["right" if is_right else "wrong"] += 1
            if self._now - self._fetched[number] >= self._rules.soft_seconds + AHEAD_SECONDS / 2:
                overdue.append(number)
        if lapsed:
            self._fetch(lapsed, "waiting")
        if overdue and self._policy.way is not Way.TTL:
            self._fetch(overdue, "behind")
        if self._policy.way is Way.ADAPTIVE:
            self._hot.mark_read(NETWORK.chain_id, [self._names[number] for number in numbers])

    def _fetch(self, numbers: Sequence[int], who: str) -> None:
        self._calls[who] += -(-len(numbers) // BATCH_SIZE)
        for number in numbers:
            rate = self._traffic.change_rates[number]
            if self._now >= self._wrong_from[number]:
                self._amounts[number] += 1
                self._wrong_from[number] = self._now + self._chance.expovariate(rate)
            life = self._policy.fresh_seconds * (1 - _JITTER * self._chance.random())
            self._fetched[number] = self._now
            self._fresh_until[number] = self._now + life
            soft_until = self._now + life - min(AHEAD_SECONDS, life / 2)
            if self._policy.way is Way.ADAPTIVE:
                self._hot.reschedule(NETWORK.chain_id, self._names[number], soft_until * 1000)
            elif self._policy.way is Way.AHEAD:
                self._due[number] = soft_until
                heapq.heappush(self._waiting, (soft_until, number))

    async def _refresh(self) -> None:
        if self._policy.way is Way.ADAPTIVE:
            await refresh_worthiest(self._hot, self, self._rules, self._chance)
            return
        due = []
        while self._waiting and self._waiting[0][0] <= self._now:
            at, number = heapq.heappop(self._waiting)
            if at == self._due.get(number):  # not one that was fetched since
                del self._due[number]
                if self._now - self._read_at[number] < HOT_SECONDS:
                    due.append(number)
        if due:
            self._fetch(due, "refresh")

    def _look(self, _: ChainId, address: Address) -> Look:
        number = self._numbers[address]
        fetched = self._fetched[number]
        if fetched < 0:
            return Look(None, 0, announced=False)
        stored = StoredSnapshot(self._snapshot(number), int(fetched * 1000), 1)
        return Look(stored, self._fresh_until[number] * 1000, announced=False)

    def _snapshot(self, number: int) -> Snapshot:
        return Snapshot(self._names[number], 0, (Balance(_ASSET, self._amounts[number]),))

    async def refill(
        self,
        addresses: Sequence[Address],
        *,
        lane: Lane,  # noqa: ARG002 - the protocol's
        required_height: BlockHeight = 0,  # noqa: ARG002 - the protocol's
    ) -> Mapping[Address, RefillOutcome]:
        """Fetch and publish."""
        numbers = [self._numbers[address] for address in addresses]
        self._fetch(numbers, "refresh")
        return {self._names[number]: Refilled(self._snapshot(number)) for number in numbers}

    async def read_many(
        self,
        addresses: Sequence[Address],
        *,
        allow_stale: bool = False,
        wait_seconds: float | None = None,
        demand: Demand = NO_DEMAND,
    ) -> Mapping[Address, Served]:
        """Nobody reads through the refresh run.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError


def play(policy: Policy, traffic: Traffic, seed: int) -> Outcome:
    """Live through a day under a policy."""
    return asyncio.run(Day(policy, traffic, seed).play())
