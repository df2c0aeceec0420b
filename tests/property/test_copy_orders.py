"""The in-process copy under orders that a seed draws: notices and answers wait for their turn.

Real servers, real connections; only when the copy applies what has arrived is decided here. The
checker knows the true height of each vault. Promised whatever the order: what this process has
invalidated, has seen invalidated, or has read newer, it never serves older again; and what
another process has invalidated is not served once its notice is applied. That each rule of the copy
is needed is shown in every order of small casts: tests/coherence/test_copied.py.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from cache.connection import connect
from cache.store import RedisBalanceCache
from cache.tracking_connection import TrackingConnection
from domain.ports import Lease
from domain.values import Address, Fresh
from supervisor.valkey import EmbeddedServer
from tests.cache_support import MAINNET, address, empty_client, redis_cache, snapshot
from tests.copy_support import copied_cache, copy_of, until

VAULTS = [address(number) for number in (1, 2)]
STEPS = 150
SEEDS = 12


class Wire:
    """Holds back what has arrived for the copy."""

    def __init__(self, cache: RedisBalanceCache) -> None:
        connection = copy_of(cache)._connection
        assert connection is not None
        self._connection = connection
        self._arrived: deque[Any] = deque()
        connection._apply = self._arrived.append  # type: ignore[method-assign, assignment]  # the seam

    def deliver(self, most: int) -> None:
        while self._arrived and most and self._connection.is_open:
            TrackingConnection._apply(self._connection, self._arrived.popleft())
            most -= 1

    async def deliver_all(self) -> None:
        """Apply all that the server has told until now."""
        told = asyncio.get_running_loop().create_future()
        self._connection.ask(("PING",), told.set_result)
        async with asyncio.timeout(5):
            while not told.done() and self._connection.is_open:
                self.deliver(1_000)
                await asyncio.sleep(0)


class Play:
    """One drawn order, and what is known to be true in it."""

    def __init__(self, cache: RedisBalanceCache, other: RedisBalanceCache, seed: int) -> None:
        self.cache = cache
        self.other = other
        self.chance = random.Random(seed)
        self.wire = Wire(cache)
        self.tip = dict.fromkeys(VAULTS, 0)
        self.invalidated_by_other = dict.fromkeys(VAULTS, 0)
        self.floor = dict.fromkeys(VAULTS, 0)
        self.violations: list[str] = []
        self.reads: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        steps = [self.start_read] * 10 + [self.finish_reads] * 3 + [self.deliver_some] * 5
        steps += [self.publish] * 2 + [self.invalidate_here, self.invalidate_there, self.settle]
        await self.wire.deliver_all()
        for _ in range(STEPS):
            await self.chance.choice(steps)()
        await self.finish_reads()

    def one(self) -> Address:
        return self.chance.choice(VAULTS)

    async def start_read(self) -> None:
        who = self.one()
        self.reads.append(asyncio.create_task(self._read(who, self.floor[who])))
        await asyncio.sleep(0)

    async def _read(self, who: Address, floor: int) -> None:
        told = self.invalidated_by_other[who]
        answer = (await self.cache.read(MAINNET, [who]))[who]
        if not isinstance(answer, Fresh):
            # Redis itself said so: nothing from before is fresh there.
            self.floor[who] = max(self.floor[who], told)
            return
        height = answer.stored.snapshot.height
        if height < floor:
            self.violations.append(f"read {height}, after {floor} was known")
        self.floor[who] = max(self.floor[who], height)

    async def finish_reads(self) -> None:
        await asyncio.gather(*self.reads)
        self.reads.clear()

    async def deliver_some(self) -> None:
        self.wire.deliver(self.chance.randint(1, 4))

    async def publish(self) -> None:
        who = self.one()
        lease = (await self.other.acquire(MAINNET, [who]))[who]
        assert isinstance(lease, Lease)
        await self.other.publish([(lease, snapshot(who, 1, height=self.tip[who]))])

    async def invalidate_here(self) -> None:
        who = self.one()
        self.tip[who] += 1
        height = self.tip[who]
        await self.cache.invalidate([who], MAINNET, height)
        self.floor[who] = max(self.floor[who], height)

    async def invalidate_there(self) -> None:
        who = self.one()
        self.tip[who] += 1
        height = self.tip[who]
        await self.other.invalidate([who], MAINNET, height)
        self.invalidated_by_other[who] = height

    async def settle(self) -> None:
        known = dict(self.invalidated_by_other)
        await self.wire.deliver_all()
        for vault, height in known.items():
            self.floor[vault] = max(self.floor[vault], height)


@pytest.fixture
async def play(cache_server: EmbeddedServer) -> AsyncIterator[Callable[[int], Any]]:
    """Play one seed's order on an empty database; returns violations and how often it was used."""
    client = await empty_client(cache_server)

    async def run(seed: int) -> tuple[list[str], object]:
        await client.flushdb()
        cache = copied_cache(connect(cache_server.url()))
        await cache.read(MAINNET, VAULTS)
        await until(lambda: copy_of(cache).is_connected)
        drawn = Play(cache, redis_cache(client), seed)
        try:
            await drawn.run()
            copied = (await cache.stats()).get("copied", 0)
        finally:
            await cache.aclose()
        return drawn.violations, copied

    yield run
    await client.aclose()


async def test_in_no_drawn_order_is_an_older_balance_served(play: Callable[[int], Any]) -> None:
    copied = 0
    for seed in range(SEEDS):
        violations, taken = await play(seed)
        assert violations == [], f"seed {seed}"
        copied += taken

    assert copied > 5 * SEEDS, "the copy was hardly used: nothing was shown"
