"""Redis that is gone, restarted, hung, flushed, full or behind: never wrong, and back by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from cache.commands import PORTION
from cache.connection import connect
from cache.keys import ENDED_CHANNEL
from cache.rest import rest_of
from cache.sessions import SessionStore
from cache.store import RedisBalanceCache
from cache.waiting import Endings
from domain.errors import CacheUnavailableError, ConfigurationError
from domain.ports import BalanceCache, Busy, Lease, PublishOutcome
from domain.values import Fresh, Missing, Stale
from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer
from tests.cache_support import (
    MAINNET,
    Harness,
    address,
    empty_client,
    hung,
    redis_cache,
    snapshot,
)
from tests.gap_support import Gap

ALICE = address(1)
SOMEBODYS = Lease(ALICE, MAINNET, "token", 0)

OPERATIONS: list[Callable[[BalanceCache], Awaitable[object]]] = [
    lambda cache: cache.read(MAINNET, [ALICE]),
    lambda cache: cache.acquire(MAINNET, [ALICE]),
    lambda cache: cache.extend([SOMEBODYS]),
    lambda cache: cache.publish([(SOMEBODYS, snapshot(ALICE))]),
    lambda cache: cache.release([SOMEBODYS]),
    lambda cache: cache.wait_published(MAINNET, [ALICE], 5),
    lambda cache: cache.invalidate([ALICE]),
    lambda cache: cache.clear([ALICE]),
    lambda cache: cache.clear_invalidation([ALICE]),
    lambda cache: cache.mark_read(MAINNET, [ALICE]),
    lambda cache: cache.due(MAINNET, 5),
    lambda cache: cache.stats(),
]
NAMES = (
    *("read", "acquire", "extend", "publish", "release", "wait"),
    *("invalidate", "clear", "clear flags", "mark read", "due", "stats"),
)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server that a test may hurt. It keeps what `SAVE` writes."""
    server = EmbeddedServer.start(extra=("--dir", str(tmp_path), "--repl-diskless-sync-delay", "0"))
    yield server
    os.kill(server.process.pid, signal.SIGCONT) if server.process.poll() is None else None
    server.stop()


@pytest.fixture
async def client(own_server: EmbeddedServer) -> AsyncIterator[Redis]:
    client = connect(own_server.url())
    yield client
    await client.aclose()


async def restarted(server: EmbeddedServer, directory: Path) -> EmbeddedServer:
    """Kill the server and start another one on its port and directory."""
    server.process.kill()
    server.process.wait()
    return await asyncio.to_thread(
        EmbeddedServer.start, port=server.port, extra=("--dir", str(directory))
    )


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
async def test_without_redis_every_operation_says_so_soon(
    operation: Callable[[BalanceCache], Awaitable[object]],
) -> None:
    client = connect(f"redis://user:secret@127.0.0.1:{free_port()}/0")
    cache = redis_cache(client)

    async with asyncio.timeout(5):
        with pytest.raises(CacheUnavailableError) as caught:
            await operation(cache)

    assert "secret" not in str(caught.value)
    await cache.aclose()


async def test_a_hung_redis_is_given_up_within_a_bound(
    own_server: EmbeddedServer, client: Redis
) -> None:
    cache = redis_cache(client)
    await cache.read(MAINNET, [ALICE])

    with hung(own_server):
        started = time.monotonic()
        with pytest.raises(CacheUnavailableError):
            await cache.read(MAINNET, [ALICE])
        took = time.monotonic() - started

    assert took < 4
    await Harness(cache, lambda: None).until(lambda: _is_answered(cache), seconds=20)
    await cache.aclose()


async def test_one_timeout_speaks_for_all_who_share_the_client_and_one_at_a_time_tries_again(
    own_server: EmbeddedServer, client: Redis
) -> None:
    """A hundred questions after the first one do not wait one after the other."""
    cache, sessions = redis_cache(client), SessionStore(client)
    await cache.read(MAINNET, [ALICE])
    told: list[bool] = []
    rest_of(client).told = lambda *, is_resting: told.append(is_resting)

    with hung(own_server):
        with pytest.raises(CacheUnavailableError, match="TimeoutError"):
            await cache.read(MAINNET, [ALICE])
        reasons = []
        async with asyncio.timeout(30):
            for _ in range(100):
                with pytest.raises(CacheUnavailableError) as caught:
                    await sessions.get("token")
                reasons.append(str(caught.value))
        trials = [reason for reason in reasons if "TimeoutError" in reason]
        assert len(trials) < 10, "or each of them has waited"
        with pytest.raises(CacheUnavailableError):
            await cache.invalidate([ALICE])

    await Harness(cache, lambda: None).until(lambda: _is_answered(cache), seconds=20)
    assert told == [True, False]
    await cache.aclose()


async def test_links_that_the_network_has_forgotten_are_not_used_after_the_recovery(
    cache_server: EmbeddedServer,
) -> None:
    """Each would cost somebody a timeout."""
    gap = Gap(cache_server.port)
    async with gap.listening() as port:
        cache = redis_cache(connect(f"redis://127.0.0.1:{port}/0"))

        async def use_every_link() -> None:
            await asyncio.gather(*(cache.invalidate([ALICE]) for _ in range(16)))

        await use_every_link()
        gap.cut()
        gap.heal()  # for new connections
        with pytest.raises(CacheUnavailableError):
            await cache.invalidate([ALICE])
        await Harness(cache, lambda: None).until(lambda: _is_answered(cache), seconds=20)

        await use_every_link()

        await cache.aclose()


async def _is_answered(cache: RedisBalanceCache) -> bool:
    try:
        await cache.read(MAINNET, [ALICE])
    except CacheUnavailableError:
        return False
    return True


async def test_after_a_restart_without_persistence_nothing_is_known_and_all_works(
    own_server: EmbeddedServer, client: Redis, tmp_path: Path
) -> None:
    harness = Harness(redis_cache(client), lambda: None)
    await harness.put(snapshot(ALICE))
    lease = await harness.lease(ALICE)

    server = await restarted(own_server, tmp_path)

    assert await harness.read(ALICE) == Missing()
    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.LEASE_LOST
    await harness.put(snapshot(ALICE))
    assert await harness.is_fresh(ALICE)
    await redis_cache(client).aclose()
    server.stop()


async def test_a_restart_that_lost_an_invalidation_brings_no_old_value_back_as_fresh(
    own_server: EmbeddedServer, client: Redis, tmp_path: Path
) -> None:
    """The last save is older than the invalidation: value and lease are back as they were."""
    harness = Harness(redis_cache(client), lambda: None)
    await harness.put(snapshot(ALICE, 1, height=5))
    lease = await harness.lease(ALICE)
    await client.save()
    await harness.cache.invalidate([ALICE], MAINNET, 6)

    server = await restarted(own_server, tmp_path)

    answer = await harness.read(ALICE)
    assert isinstance(answer, Stale), "known, but not fresh"
    outcomes = await harness.cache.publish([(lease, snapshot(ALICE, 1, height=5))])
    assert outcomes[ALICE] is PublishOutcome.LEASE_LOST
    await harness.put(snapshot(ALICE, 2, height=6))
    assert await harness.is_fresh(ALICE)
    server.stop()


async def test_a_replica_that_missed_an_invalidation_serves_no_old_value_as_fresh(
    own_server: EmbeddedServer, client: Redis
) -> None:
    replica = await asyncio.to_thread(
        EmbeddedServer.start, extra=("--replicaof", f"127.0.0.1 {own_server.port}")
    )
    harness = Harness(redis_cache(client), lambda: None)
    await harness.put(snapshot(ALICE, 1, height=5))
    lease = await harness.lease(ALICE)

    async def is_copied() -> bool:
        return bool(await client.wait(1, 100) == 1)

    await harness.until(is_copied, seconds=15)
    os.kill(replica.process.pid, signal.SIGSTOP)
    await harness.cache.invalidate([ALICE], MAINNET, 6)
    own_server.process.kill()
    own_server.process.wait()
    os.kill(replica.process.pid, signal.SIGCONT)
    admin = Redis(port=replica.port)
    await admin.replicaof("NO", "ONE")

    promoted = connect(replica.url())
    after = Harness(redis_cache(promoted), lambda: None)

    assert isinstance(await after.read(ALICE), Stale)
    outcomes = await after.cache.publish([(lease, snapshot(ALICE, 1, height=5))])
    assert outcomes[ALICE] is PublishOutcome.LEASE_LOST
    await after.put(snapshot(ALICE, 2, height=6))
    assert await after.is_fresh(ALICE)
    await promoted.aclose()
    await admin.aclose()
    replica.stop()


async def test_who_waits_at_a_restart_does_not_wait_for_a_lease_from_before(
    own_server: EmbeddedServer, client: Redis, tmp_path: Path
) -> None:
    """The lease is back with the file, but it permits nothing any more."""
    cache = redis_cache(client, lease_seconds=600)
    await Harness(cache, lambda: None).lease(ALICE)
    await client.save()
    waiting = asyncio.create_task(cache.wait_published(MAINNET, [ALICE], 60))

    async def is_subscribed() -> bool:
        return await client.pubsub_numsub(ENDED_CHANNEL) == [(ENDED_CHANNEL.encode(), 1)]

    await Harness(cache, lambda: None).until(is_subscribed)
    server = await restarted(own_server, tmp_path)

    async with asyncio.timeout(30):
        await asyncio.gather(waiting, return_exceptions=True)
        await cache.wait_published(MAINNET, [ALICE], 60)
    assert isinstance((await cache.acquire(MAINNET, [ALICE]))[ALICE], Lease)
    await cache.aclose()
    server.stop()


async def test_a_connection_to_a_replica_is_refused(
    own_server: EmbeddedServer, client: Redis
) -> None:
    """What it holds may be behind any invalidation."""
    replica = await asyncio.to_thread(
        EmbeddedServer.start, extra=("--replicaof", f"127.0.0.1 {own_server.port}")
    )
    reading = connect(replica.url())

    with pytest.raises(CacheUnavailableError):
        await redis_cache(reading).read(MAINNET, [ALICE])

    await reading.aclose()
    replica.stop()


async def test_a_flushed_database_refuses_the_fetches_from_before(
    cache_server: EmbeddedServer,
) -> None:
    client = await empty_client(cache_server)
    harness = Harness(redis_cache(client), lambda: None)
    await harness.put(snapshot(ALICE))
    lease = await harness.lease(ALICE)

    await client.flushdb()

    assert await harness.read(ALICE) == Missing()
    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.LEASE_LOST
    await harness.put(snapshot(ALICE))
    assert await harness.is_fresh(ALICE)
    await client.aclose()


async def test_scripts_that_the_server_forgot_are_sent_again(cache_server: EmbeddedServer) -> None:
    client = await empty_client(cache_server)
    harness = Harness(redis_cache(client), lambda: None)
    await harness.put(snapshot(ALICE))

    await client.script_flush()
    await harness.put(snapshot(ALICE))

    assert (await harness.read(ALICE)).stored.version == 2
    await client.aclose()


async def test_forgotten_scripts_are_sent_again_in_portions(cache_server: EmbeddedServer) -> None:
    """The first command after a restart may concern thousands of vaults."""
    client = await empty_client(cache_server)
    cache = redis_cache(client)
    crowd = [address(number) for number in range(3 * PORTION)]
    await client.script_flush()
    await client.config_resetstat()

    await cache.invalidate(crowd, MAINNET, 5)

    calls = (await client.info("commandstats"))["cmdstat_eval"]["calls"]
    assert calls <= PORTION
    await client.aclose()


async def test_an_evicted_state_keeps_heights_and_versions_by_the_last_known_snapshot(
    cache_server: EmbeddedServer,
) -> None:
    client = await empty_client(cache_server)
    harness = Harness(redis_cache(client), lambda: None)
    await harness.put(snapshot(ALICE, height=30, height_upper=33))

    await client.delete(f"bc:state:{ALICE}:{MAINNET}")
    lease = await harness.lease(ALICE)
    late = await harness.cache.publish([(lease, snapshot(ALICE, height=32))])
    await harness.put(snapshot(ALICE, height=33))

    assert lease.required_height == 33
    assert late[ALICE] is PublishOutcome.OLDER_THAN_STORED
    assert (await harness.read(ALICE)).stored.version == 2
    await client.aclose()


async def test_a_full_server_that_evicts_answers_nothing_wrong(tmp_path: Path) -> None:
    server = await asyncio.to_thread(
        EmbeddedServer.start, memory="4mb", extra=("--dir", str(tmp_path))
    )
    client = connect(server.url())
    harness = Harness(redis_cache(client), lambda: None)
    crowd = [address(number) for number in range(4_000)]
    for at in range(0, len(crowd), 500):
        part = crowd[at : at + 500]
        leases = await harness.cache.acquire(MAINNET, part)
        await harness.cache.publish(
            [(lease, snapshot(who, 7)) for who, lease in leases.items() if isinstance(lease, Lease)]
        )
    await harness.cache.invalidate(crowd[::2], MAINNET)

    answers = await harness.cache.read(MAINNET, crowd)

    evicted = (await client.info("stats"))["evicted_keys"]
    assert evicted > 0, "or this proves nothing"
    assert not any(isinstance(answers[who], Fresh) for who in crowd[::2])
    await client.aclose()
    server.stop()


async def test_a_thousand_readers_of_a_cold_vault_cost_one_fetch(
    cache_server: EmbeddedServer,
) -> None:
    clients = [await empty_client(cache_server) for _ in range(4)]
    harnesses = [Harness(redis_cache(client), lambda: None) for client in clients]
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
    for harness in harnesses:
        await harness.cache.aclose()  # type: ignore[attr-defined]  # the store has it


@pytest.fixture
async def waiter(cache_server: EmbeddedServer) -> AsyncIterator[Waiter]:
    client = await empty_client(cache_server)
    cache = redis_cache(client, lease_seconds=60)
    yield Waiter(cache, client)
    await cache.aclose()


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
) -> None:
    """Else every waiter would wait for the end of the lease, until somebody restarts him."""
    gap = Gap(cache_server.port)
    leader = redis_cache(await empty_client(cache_server), lease_seconds=60)
    async with gap.listening() as port:
        waiter = redis_cache(connect(cache_server.url()))
        through_the_gap = connect(f"redis://127.0.0.1:{port}/0")
        waiter._endings = Endings(through_the_gap)
        await waiter._endings.subscribe()
        gap.cut()
        gap.heal()  # for new connections
        lease = await Harness(leader, lambda: None).lease(ALICE)
        waiting = await Waiter(waiter, waiter._client).start(timeout_seconds=50)

        await leader.publish([(lease, snapshot(ALICE))])

        async with asyncio.timeout(20):
            await waiting
        await waiter.aclose()
        await through_the_gap.aclose()
    await leader.aclose()


@pytest.mark.parametrize("url", ["", "127.0.0.1", "http://:secret@host", "redis://h:99999999"])
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL") as caught:
        connect(url)

    assert "secret" not in str(caught.value)
