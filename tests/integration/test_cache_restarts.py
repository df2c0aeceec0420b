"""Redis that was restarted, flushed or replaced: what it has forgotten is never fresh."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from cache.commands import PORTION
from cache.connection import connect
from cache.keys import ENDED_CHANNEL
from domain.errors import CacheUnavailableError
from domain.ports import Lease, PublishOutcome
from domain.values import Missing, Snapshot, Stale
from supervisor.valkey import EmbeddedServer
from tests.cache_support import (
    ALICE,
    MAINNET,
    Harness,
    MakeCache,
    StartServer,
    address,
    redis_cache,
    snapshot,
)


async def restarted(server: EmbeddedServer, directory: Path, start: StartServer) -> None:
    """Kill the server and start another one on its port and directory."""
    server.process.kill()
    server.process.wait()
    await asyncio.to_thread(start, port=server.port, extra=("--dir", str(directory)))


async def assert_only_a_new_lease_counts(
    harness: Harness, lease: Lease, before: Snapshot, now: Snapshot
) -> None:
    """What was fetched under the lease of another history is refused; a new fetch is not."""
    outcomes = await harness.cache.publish([(lease, before)])
    assert outcomes[ALICE] is PublishOutcome.LEASE_LOST
    await harness.put(now)
    assert await harness.is_fresh(ALICE)


async def test_after_a_restart_without_persistence_nothing_is_known_and_all_works(
    own_server: EmbeddedServer,
    own_client: Redis,
    tmp_path: Path,
    start_server: StartServer,
    make_cache: MakeCache,
) -> None:
    harness = Harness(make_cache(own_client), lambda: None)
    await harness.put(snapshot(ALICE))
    lease = await harness.lease(ALICE)

    await restarted(own_server, tmp_path, start_server)

    assert await harness.read(ALICE) == Missing()
    await assert_only_a_new_lease_counts(harness, lease, snapshot(ALICE), snapshot(ALICE))


async def test_a_restart_that_lost_an_invalidation_brings_no_old_value_back_as_fresh(
    own_server: EmbeddedServer,
    own_client: Redis,
    tmp_path: Path,
    start_server: StartServer,
) -> None:
    """The last save is older than the invalidation: value and lease are back as they were."""
    harness = Harness(redis_cache(own_client), lambda: None)
    await harness.put(snapshot(ALICE, 1, height=5))
    lease = await harness.lease(ALICE)
    await own_client.save()
    await harness.cache.invalidate([ALICE], MAINNET, 6)

    await restarted(own_server, tmp_path, start_server)

    answer = await harness.read(ALICE)
    assert isinstance(answer, Stale), "known, but not fresh"
    before, now = snapshot(ALICE, 1, height=5), snapshot(ALICE, 2, height=6)
    await assert_only_a_new_lease_counts(harness, lease, before, now)


async def test_a_replica_that_missed_an_invalidation_serves_no_old_value_as_fresh(
    own_server: EmbeddedServer,
    own_client: Redis,
    start_server: StartServer,
    make_cache: MakeCache,
) -> None:
    replica = await asyncio.to_thread(
        start_server, extra=("--replicaof", f"127.0.0.1 {own_server.port}")
    )
    harness = Harness(make_cache(own_client), lambda: None)
    await harness.put(snapshot(ALICE, 1, height=5))
    lease = await harness.lease(ALICE)

    async def is_copied() -> bool:
        return bool(await own_client.wait(1, 100) == 1)

    await harness.until(is_copied, seconds=15)
    os.kill(replica.process.pid, signal.SIGSTOP)
    await harness.cache.invalidate([ALICE], MAINNET, 6)
    own_server.process.kill()
    own_server.process.wait()
    os.kill(replica.process.pid, signal.SIGCONT)
    async with Redis(port=replica.port) as admin:
        await admin.replicaof("NO", "ONE")

    promoted = connect(replica.url())
    after = Harness(make_cache(promoted), lambda: None)

    assert isinstance(await after.read(ALICE), Stale)
    before, now = snapshot(ALICE, 1, height=5), snapshot(ALICE, 2, height=6)
    await assert_only_a_new_lease_counts(after, lease, before, now)


async def test_who_waits_at_a_restart_does_not_wait_for_a_lease_from_before(
    own_server: EmbeddedServer,
    own_client: Redis,
    tmp_path: Path,
    start_server: StartServer,
    make_cache: MakeCache,
) -> None:
    """The lease is back with the file, but it permits nothing any more."""
    cache = make_cache(own_client, lease_seconds=600)
    await Harness(cache, lambda: None).lease(ALICE)
    await own_client.save()
    waiting = asyncio.create_task(cache.wait_published(MAINNET, [ALICE], 60))

    async def is_subscribed() -> bool:
        return await own_client.pubsub_numsub(ENDED_CHANNEL) == [(ENDED_CHANNEL.encode(), 1)]

    await Harness(cache, lambda: None).until(is_subscribed)
    await restarted(own_server, tmp_path, start_server)

    async with asyncio.timeout(30):
        await asyncio.gather(waiting, return_exceptions=True)
        await cache.wait_published(MAINNET, [ALICE], 60)
    assert isinstance((await cache.acquire(MAINNET, [ALICE]))[ALICE], Lease)


async def test_a_connection_to_a_replica_is_refused(
    own_server: EmbeddedServer,
    own_client: Redis,
    start_server: StartServer,
    make_cache: MakeCache,
) -> None:
    """What it holds may be behind any invalidation."""
    replica = await asyncio.to_thread(
        start_server, extra=("--replicaof", f"127.0.0.1 {own_server.port}")
    )
    reading = connect(replica.url())

    with pytest.raises(CacheUnavailableError):
        await make_cache(reading).read(MAINNET, [ALICE])


async def test_a_flushed_database_refuses_the_fetches_from_before(
    client: Redis,
) -> None:
    harness = Harness(redis_cache(client), lambda: None)
    await harness.put(snapshot(ALICE))
    lease = await harness.lease(ALICE)

    await client.flushdb()

    assert await harness.read(ALICE) == Missing()
    await assert_only_a_new_lease_counts(harness, lease, snapshot(ALICE), snapshot(ALICE))


async def test_scripts_that_the_server_forgot_are_sent_again(client: Redis) -> None:
    harness = Harness(redis_cache(client), lambda: None)
    await harness.put(snapshot(ALICE))

    await client.script_flush()
    await harness.put(snapshot(ALICE))

    assert (await harness.read(ALICE)).stored.version == 2


async def test_forgotten_scripts_are_sent_again_in_portions(client: Redis) -> None:
    """The first command after a restart may concern thousands of vaults."""
    cache = redis_cache(client)
    crowd = [address(number) for number in range(3 * PORTION)]
    await client.script_flush()
    await client.config_resetstat()

    await cache.invalidate(crowd, MAINNET, 5)

    calls = (await client.info("commandstats"))["cmdstat_eval"]["calls"]
    assert calls <= PORTION


async def test_an_evicted_state_keeps_heights_and_versions_by_the_last_known_snapshot(
    client: Redis,
) -> None:
    harness = Harness(redis_cache(client), lambda: None)
    await harness.put(snapshot(ALICE, height=30, height_upper=33))

    await client.delete(f"bc:state:{ALICE}:{MAINNET}")
    lease = await harness.lease(ALICE)
    late = await harness.cache.publish([(lease, snapshot(ALICE, height=32))])
    await harness.put(snapshot(ALICE, height=33))

    assert lease.required_height == 33
    assert late[ALICE] is PublishOutcome.OLDER_THAN_STORED
    assert (await harness.read(ALICE)).stored.version == 2
