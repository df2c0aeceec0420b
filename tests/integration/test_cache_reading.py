"""The two trips of a read, and how readers of one process share them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from cache.commands import Command, Commands
from domain.ports import Busy, Lease
from domain.values import Fresh, Missing, Stale
from tests.cache_support import ALICE, MAINNET, Harness, address, redis_cache, snapshot


class BetweenTheTrips(Commands):
    """Lets something happen after the first trip of a read, before its second one."""

    def __init__(self, client: Redis) -> None:
        super().__init__(client)
        self.happens: Callable[[], Awaitable[object]] | None = None

    async def batch(self, commands: Sequence[Command]) -> list[Any]:
        happens, self.happens = self.happens, None
        if happens is not None:
            await happens()
        return await super().batch(commands)


@pytest.fixture
async def torn(client: Redis) -> BetweenTheTrips:
    return BetweenTheTrips(client)


@pytest.fixture
async def reader(client: Redis, torn: BetweenTheTrips) -> AsyncIterator[Harness]:
    cache = redis_cache(client, commands=torn)
    await cache.read(MAINNET, [address(99)])  # knows the server's time from now on
    yield Harness(cache, lambda: None)
    await cache.aclose()


@pytest.fixture
async def writer(client: Redis) -> AsyncIterator[Harness]:
    cache = redis_cache(client)
    yield Harness(cache, lambda: None)
    await cache.aclose()


async def test_a_publish_between_the_two_trips_is_seen_as_fresh(
    reader: Harness, writer: Harness, torn: BetweenTheTrips
) -> None:
    torn.happens = lambda: writer.put(snapshot(ALICE, 7))

    answer = await reader.read_once(ALICE)

    assert isinstance(answer, Fresh)
    assert answer.stored.snapshot == snapshot(ALICE, 7)
    assert not answer.stored.foreign
    held = await reader.cache.acquire(MAINNET, [ALICE], seen={ALICE: 0})
    assert held == {ALICE: Busy(0)}
    stats = await reader.cache.stats()
    assert (stats["hits"], stats["stale"], stats["foreign"]) == (1, 0, 0)


async def test_a_refill_between_the_two_trips_ends_an_invalidation(
    reader: Harness, writer: Harness, torn: BetweenTheTrips
) -> None:
    await writer.put(snapshot(ALICE, 1, height=5))
    await writer.cache.invalidate([ALICE], MAINNET, 6)
    torn.happens = lambda: writer.put(snapshot(ALICE, 2, height=6))

    answer = await reader.read_once(ALICE)

    assert isinstance(answer, Fresh)
    assert answer.stored.version == 2


async def test_an_invalidation_between_the_two_trips_is_seen(
    reader: Harness, writer: Harness, torn: BetweenTheTrips
) -> None:
    async def refill_and_invalidate() -> None:
        await writer.put(snapshot(ALICE))
        await writer.cache.invalidate([ALICE], MAINNET)

    torn.happens = refill_and_invalidate

    answer = await reader.read_once(ALICE)

    assert isinstance(answer, Stale)
    assert answer.reason == "invalidated"


async def test_what_goes_between_the_two_trips_is_missing(
    reader: Harness, writer: Harness, client: Redis, torn: BetweenTheTrips
) -> None:
    await writer.put(snapshot(ALICE))
    await client.set(f"balance:invalidated:{ALICE}", "1", ex=60)
    torn.happens = client.flushdb

    assert await reader.read_once(ALICE) == Missing()


async def commands_for(client: Redis, act: Callable[[], Awaitable[object]]) -> dict[str, int]:
    """Return how often each command, of clients and of scripts, ran meanwhile."""
    await client.config_resetstat()
    await act()
    stats = await client.info("commandstats")
    return {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()}


async def test_a_thousand_simultaneous_reads_need_a_handful_of_commands(
    client: Redis, writer: Harness
) -> None:
    await writer.put(snapshot(ALICE, 3))
    await writer.read_once(ALICE)
    answers: list[Any] = []

    async def read_all() -> None:
        answers.extend(await asyncio.gather(*(writer.read_once(ALICE) for _ in range(1_000))))

    calls = await commands_for(client, read_all)

    assert {type(answer) for answer in answers} == {Fresh}
    assert calls["mget"] <= 2


async def test_a_stampede_on_a_cold_vault_needs_a_handful_of_commands(
    client: Redis, writer: Harness
) -> None:
    leases: list[Any] = []

    async def miss_and_ask() -> None:
        await writer.read_once(ALICE)
        held = await writer.cache.acquire(MAINNET, [ALICE], seen={ALICE: 0})
        leases.append(held[ALICE])

    async def all_at_once() -> None:
        await asyncio.gather(*(miss_and_ask() for _ in range(1_000)))

    calls = await commands_for(client, all_at_once)

    assert sum(isinstance(lease, Lease) for lease in leases) == 1
    assert all(0 < held.wait_ms <= 10_000 for held in leases if isinstance(held, Busy))
    assert calls["mget"] + calls.get("evalsha", 0) + calls.get("eval", 0) <= 10


async def test_the_lease_goes_to_who_is_still_there(client: Redis) -> None:
    cache = redis_cache(client)
    first = asyncio.create_task(cache.acquire(MAINNET, [address(2)]))
    gone = asyncio.create_task(cache.acquire(MAINNET, [ALICE]))
    there = asyncio.create_task(cache.acquire(MAINNET, [ALICE]))
    await asyncio.sleep(0)

    gone.cancel()

    assert isinstance((await there)[ALICE], Lease)
    await first
    await cache.aclose()


async def test_a_read_after_an_invalidation_shares_no_round_trip_from_before_it(
    client: Redis, writer: Harness
) -> None:
    """Under steady reading, whose batches never cease, no late reader gets an early answer."""
    busy = Harness(redis_cache(client), lambda: None)
    over = asyncio.Event()

    async def read_on() -> None:
        while not over.is_set():
            await busy.read_once(ALICE)

    async with asyncio.timeout(30), asyncio.TaskGroup() as readers:
        for _ in range(8):
            readers.create_task(read_on())
        for height in range(1, 100):
            await writer.put(snapshot(ALICE, height, height=height))
            assert isinstance(await busy.read_once(ALICE), Fresh)
            await writer.cache.invalidate([ALICE], MAINNET, height + 1)
            assert not isinstance(await busy.read_once(ALICE), Fresh)
        over.set()
    await busy.cache.aclose()  # type: ignore[attr-defined]  # the store has it
