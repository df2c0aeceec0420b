"""Who waits for another's fetch is told of its end, also when his subscription is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from cache import waiting as waiting_module
from cache.connection import connect
from cache.keys import ENDED_CHANNEL
from cache.lua import script
from cache.store import RedisBalanceCache
from cache.waiting import Endings
from domain.errors import CacheUnavailableError
from domain.ports import Busy, Lease
from domain.values import Address, Fresh
from supervisor.valkey import EmbeddedServer
from tests.cache_support import ALICE, BOB, MAINNET, Harness, MakeCache, empty_client, snapshot
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
    """Waits for leases; `start` returns when nothing but a notification can end it.

    Attributes:
        looks: how often it has looked at the leases.
    """

    def __init__(self, cache: RedisBalanceCache, client: Redis) -> None:
        self.cache, self.client = cache, client
        self.harness = Harness(cache, lambda: None)
        self.looks = 0
        look = cache._leases.remaining_ms

        async def look_and_count(*given: Any) -> dict[str, int]:
            left = await look(*given)
            self.looks += 1
            return left

        cache._leases.remaining_ms = look_and_count  # type: ignore[method-assign,assignment]  # a spy

    async def start(self, *addresses: Address, timeout_seconds: float = 20) -> asyncio.Task[None]:
        looks = self.looks
        wait = self.cache.wait_published(MAINNET, addresses or [ALICE], timeout_seconds)
        waiting = asyncio.create_task(wait)
        await self.until_looked(looks + 1)
        return waiting

    async def be_subscribed(self) -> None:
        endings = self.cache._endings
        await endings.subscribe()
        async with asyncio.timeout(30):
            await endings._subscribed.wait()

    async def until_looked(self, times: int) -> None:
        async def has_looked() -> bool:
            return self.looks >= times

        await self.harness.until(has_looked)

    async def take_turns(self) -> None:
        """Let whoever is not waiting for a notification act many times."""
        for _ in range(50):
            await self.client.ping()

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


async def test_a_wait_ends_with_the_present_lease_though_another_takes_one_at_once(
    waiter: Waiter,
) -> None:
    lease = await waiter.harness.lease(ALICE)
    waiting = await waiter.start()
    state = f"bc:state:{ALICE}:{MAINNET}"
    kept: dict[Any, Any] = await waiter.client.hgetall(state)

    pipeline = waiter.client.pipeline(transaction=True)
    told = f"{MAINNET}:{ALICE}"
    pipeline.eval(script("release").source, 1, state, lease.token, ENDED_CHANNEL, told)
    pipeline.hset(state, mapping={**kept, b"lease_token": b"another's"})
    assert (await pipeline.execute())[0] == 1

    async with asyncio.timeout(5):
        await waiting


async def test_whoever_waits_looks_again_only_when_something_was_told(waiter: Waiter) -> None:
    alice, bob = await waiter.harness.lease(ALICE), await waiter.harness.lease(BOB)
    await waiter.be_subscribed()
    waiting = await waiter.start(ALICE, BOB)

    await waiter.take_turns()
    assert waiter.looks == 1
    await waiter.cache.release([bob])
    await waiter.until_looked(2)
    await waiter.take_turns()

    assert waiter.looks == 2
    assert not waiting.done(), "Alice's lease has not ended"
    await waiter.cache.release([alice])
    async with asyncio.timeout(5):
        await waiting


async def test_whoever_gives_up_takes_nothing_from_others_who_wait(waiter: Waiter) -> None:
    lease = await waiter.harness.lease(ALICE)
    patient = await waiter.start()
    await (await waiter.start(timeout_seconds=0.01))

    await waiter.cache.release([lease])

    async with asyncio.timeout(5):
        await patient
    assert not waiter.cache._endings._watches, "nothing is kept of those who waited"


async def test_a_wait_goes_on_as_soon_as_the_subscription_stands(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_module, "_SUBSCRIBE_SECONDS", 60)

    async with asyncio.timeout(20):
        await waiter.cache.wait_published(MAINNET, [ALICE], 60)


async def test_who_waits_while_redis_goes_away_is_told_so(
    own_server: EmbeddedServer, own_client: Redis, make_cache: MakeCache
) -> None:
    """Not at the end of his time: then he would have none left to ask the node."""
    waiter = Waiter(make_cache(own_client, lease_seconds=60), own_client)
    await waiter.harness.lease(ALICE)
    waiting = await waiter.start(timeout_seconds=50)

    own_server.process.kill()

    with pytest.raises(CacheUnavailableError):
        async with asyncio.timeout(20):
            await waiting


async def test_a_subscription_that_answers_is_kept(waiter: Waiter) -> None:
    await waiter.cache._endings.subscribe()

    async def was_asked() -> bool:
        links = await waiter.client.client_list(_type="pubsub")
        return [link["cmd"] for link in links] == ["ping"]

    await waiter.harness.until(was_asked)


async def test_what_ended_before_the_subscription_stood_again_is_not_missed(
    cache_server: EmbeddedServer, client: Redis, make_cache: MakeCache
) -> None:
    gap = Gap(cache_server.port)
    async with (
        gap.listening() as port,
        connect(f"redis://127.0.0.1:{port}/0") as through_the_gap,
    ):
        cache = make_cache(client, lease_seconds=60)
        cache._endings = Endings(through_the_gap)
        waiter = Waiter(cache, client)
        await waiter.harness.lease(ALICE)
        waiting = await waiter.start(timeout_seconds=50)
        gap.cut()
        await client.client_kill_filter(_type="pubsub")
        await waiter.until_looked(2)
        await client.delete(f"bc:state:{ALICE}:{MAINNET}")

        gap.heal()

        async with asyncio.timeout(20):
            await waiting
        await cache._endings.close()


async def test_after_the_end_nobody_listens(waiter: Waiter) -> None:
    await waiter.cache._endings.subscribe()

    await waiter.cache._endings.close()

    assert not [task for task in asyncio.all_tasks() if task.get_name() == "ended leases"]


async def test_a_subscription_that_is_refused_is_not_asked_for_again_at_once(
    client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    endings, attempts = Endings(client), 0

    async def refuse(_: Endings) -> None:
        nonlocal attempts
        attempts += 1
        raise OSError("refused")

    monkeypatch.setattr(Endings, "_listen_once", refuse)
    monkeypatch.setattr(waiting_module, "_RECONNECT_SECONDS", 60)
    subscribing = asyncio.create_task(endings.subscribe())
    for _ in range(100):
        await asyncio.sleep(0)
    subscribing.cancel()
    await endings.close()

    assert attempts == 1
