"""Who waits for another's fetch is told of its end, also when his subscription is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from cache.connection import connect
from cache.store import RedisBalanceCache
from cache.waiting import Endings
from domain.ports import Busy, Lease
from domain.values import Fresh
from supervisor.valkey import EmbeddedServer
from tests.cache_support import ALICE, MAINNET, Harness, MakeCache, empty_client, snapshot
from tests.gap_support import Gap


async def test_a_thousand_readers_of_a_cold_vault_cost_one_fetch(
    cache_server: EmbeddedServer,
    make_cache: MakeCache,
) -> None:
    clients = [await empty_client(cache_server) for _ in range(4)]
    harnesses = [Harness(make_cache(client), lambda: None) for client in clients]
    fetches = 0

    async def read_through(harness: Harness) -> None:
        nonlocal fetches
        while not isinstance(await harness.read_once(ALICE), Fresh):
            held = (await harness.cache.acquire(MAINNET, [ALICE], seen={ALICE: 0}))[ALICE]
            if isinstance(held, Busy):
                await harness.cache.wait_published(MAINNET, [ALICE], 10)
                continue
            fetches += 1
            await asyncio.sleep(0)
            await harness.cache.publish([(held, snapshot(ALICE))])

    async with asyncio.timeout(30), asyncio.TaskGroup() as readers:
        for number in range(1_000):
            readers.create_task(read_through(harnesses[number % 4]))

    assert fetches == 1


@pytest.fixture
def waiter(client: Redis, make_cache: MakeCache) -> Waiter:
    return Waiter(make_cache(client, lease_seconds=60), client)


class Waiter:
    """Waits for Alice's lease; `start` returns when nothing but a notification can end it."""

    def __init__(self, cache: RedisBalanceCache, client: Redis) -> None:
        self.cache, self.client = cache, client
        self.harness = Harness(cache, lambda: None)
        self._looked = asyncio.Event()

    async def start(self, timeout_seconds: float = 20) -> asyncio.Task[None]:
        look = self.cache._leases.remaining_ms

        async def look_and_tell(*given: Any) -> dict[str, int]:
            left = await look(*given)
            self._looked.set()
            return left

        self.cache._leases.remaining_ms = look_and_tell  # type: ignore[method-assign,assignment]  # a spy
        waiting = asyncio.create_task(self.cache.wait_published(MAINNET, [ALICE], timeout_seconds))
        await self._looked.wait()
        self._looked.clear()
        return waiting

    async def subscriptions(self) -> int:
        return int((await self.client.pubsub_numsub("bc:ended"))[0][1])


ENDS: list[Callable[[Waiter, Lease], Awaitable[object]]] = [
    lambda waiter, lease: waiter.cache.publish([(lease, snapshot(ALICE))]),
    lambda waiter, lease: waiter.cache.release([lease]),
    lambda waiter, _: waiter.cache.invalidate([ALICE], MAINNET),
    lambda waiter, _: waiter.cache.clear_invalidation([ALICE], MAINNET),
]


@pytest.mark.parametrize("end", ENDS, ids=["publish", "release", "invalidate", "clear flags"])
async def test_every_end_of_a_lease_is_told_at_once(
    waiter: Waiter, end: Callable[[Waiter, Lease], Awaitable[object]]
) -> None:
    lease = await waiter.harness.lease(ALICE)
    await waiter.client.set(f"balance:invalidated:{ALICE}:{MAINNET}", "1", ex=60)
    waiting = await waiter.start()

    await end(waiter, lease)

    async with asyncio.timeout(5):
        await waiting


async def test_waiters_survive_the_loss_of_their_subscription(waiter: Waiter) -> None:
    lease = await waiter.harness.lease(ALICE)
    waiting = await waiter.start()

    async def is_subscribed_again() -> bool:
        return await waiter.subscriptions() > 0

    await waiter.client.client_kill_filter(_type="pubsub")
    await waiter.harness.until(is_subscribed_again)
    await waiter.cache.publish([(lease, snapshot(ALICE))])

    async with asyncio.timeout(5):
        await waiting


async def test_a_waiter_misses_nothing_that_ended_while_nobody_listened(waiter: Waiter) -> None:
    await waiter.harness.lease(ALICE)
    waiting = await waiter.start()

    pipeline = waiter.client.pipeline(transaction=True)
    pipeline.client_kill_filter(_type="pubsub")
    pipeline.delete(f"bc:state:{ALICE}:{MAINNET}")
    await pipeline.execute()

    async with asyncio.timeout(5):
        await waiting


async def test_a_subscription_that_is_half_open_is_noticed_and_replaced(
    cache_server: EmbeddedServer,
    make_cache: MakeCache,
) -> None:
    """Else every waiter would wait for the end of the lease, until somebody restarts him."""
    gap = Gap(cache_server.port)
    leader = make_cache(await empty_client(cache_server), lease_seconds=60)
    async with (
        gap.listening() as port,
        connect(f"redis://127.0.0.1:{port}/0") as through_the_gap,
    ):
        waiter = make_cache(connect(cache_server.url()))
        waiter._endings = Endings(through_the_gap)
        await waiter._endings.subscribe()
        gap.cut()
        gap.heal()  # for new connections
        lease = await Harness(leader, lambda: None).lease(ALICE)
        waiting = await Waiter(waiter, waiter._client).start(timeout_seconds=50)

        await leader.publish([(lease, snapshot(ALICE))])

        async with asyncio.timeout(20):
            await waiting
