"""The store on a real three-node cluster and behind a real Sentinel, all on loopback."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis as BlockingRedis
from redis.exceptions import RedisError

from cache.connection import connect
from domain.errors import CacheUnavailableError
from domain.ports import Lease, PublishOutcome
from domain.values import Fresh, Missing, Stale
from supervisor.ports import free_port
from supervisor.processes import spawn, stop
from supervisor.valkey import EmbeddedServer
from supervisor.waiting import wait_until
from tests.cache_support import MAINNET, TESTNET, Harness, address, redis_cache, snapshot
from tests.conftest import require

_SLOTS = 16_384
ALICE = address(1)
CROWD = [address(number) for number in range(30)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    servers = [
        EmbeddedServer.start(
            port=_cluster_port(),
            extra=(
                *("--dir", str(tmp_path_factory.mktemp("node"))),
                *("--cluster-enabled", "yes", "--cluster-node-timeout", "2000"),
            ),
        )
        for _ in range(3)
    ]
    admins = [BlockingRedis(port=server.port) for server in servers]
    bounds = [_SLOTS * number // 3 for number in range(4)]
    for number, admin in enumerate(admins):
        send(admin, "CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
        send(admin, "CLUSTER", "MEET", "127.0.0.1", servers[0].port)
    assert wait_until(lambda: all(_is_whole(admin) for admin in admins), seconds=30)
    yield f"redis+cluster://127.0.0.1:{servers[0].port}"
    for admin in admins:
        admin.close()
    for server in servers:
        server.stop()


def send(admin: BlockingRedis, *command: str | int) -> Any:
    return admin.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py: untyped


def _cluster_port() -> int:
    """Return a free port whose bus port, 10,000 above, exists."""
    while (port := free_port()) > 55_000:
        pass
    return port


def _is_whole(admin: BlockingRedis) -> bool:
    info = bytes(send(admin, "CLUSTER", "INFO"))
    return b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info


async def test_the_store_works_across_the_slots_of_a_cluster(cluster: str) -> None:
    client = connect(cluster)
    cache = redis_cache(client, hash_tags=True)
    harness = Harness(cache, lambda: None)

    held = await cache.acquire(MAINNET, CROWD)
    leased = [(lease, snapshot(who)) for who, lease in held.items() if isinstance(lease, Lease)]
    assert set((await cache.publish(leased)).values()) == {PublishOutcome.PUBLISHED}
    answers = await cache.read(MAINNET, [*CROWD, address(99)])
    await cache.invalidate(CROWD[:10], MAINNET, 7)
    after = await cache.read(MAINNET, CROWD)

    assert all(isinstance(answers[who], Fresh) for who in CROWD)
    assert answers[address(99)] == Missing()
    assert all(isinstance(after[who], Stale) for who in CROWD[:10])
    assert all(isinstance(after[who], Fresh) for who in CROWD[10:])
    late = await cache.publish([(await harness.lease(CROWD[0]), snapshot(CROWD[0], height=6))])
    assert late[CROWD[0]] is PublishOutcome.BELOW_MINIMUM
    await cache.mark_read(MAINNET, CROWD)
    assert set(await cache.due(MAINNET, 50)) == set(CROWD[:10])
    assert (await cache.stats())["by_chain"] == {"9889": 20}
    assert await cache.clear(CROWD) == 50
    await cache.aclose()


async def test_waiters_on_a_cluster_are_told(cluster: str) -> None:
    client = connect(cluster)
    cache = redis_cache(client, hash_tags=True, lease_seconds=60)
    harness = Harness(cache, lambda: None)
    lease = await harness.lease(ALICE, TESTNET)
    waiting = asyncio.create_task(cache.wait_published(TESTNET, [ALICE], 30))

    await cache.publish([(lease, snapshot(ALICE, chain_id=TESTNET))])

    async with asyncio.timeout(10):
        await waiting
    await cache.clear([ALICE])
    await cache.aclose()


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[tuple[int, EmbeddedServer]]:
    """A primary, its replica and one Sentinel: its port, and the primary."""
    binary = shutil.which("redis-server")
    require(binary is not None, "redis-server (for Sentinel)")
    primary = EmbeddedServer.start(extra=("--repl-diskless-sync-delay", "0"))
    replica = EmbeddedServer.start(extra=("--replicaof", f"127.0.0.1 {primary.port}"))
    port = free_port()
    settings = tmp_path / "sentinel.conf"
    settings.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
        f"sentinel monitor vaults 127.0.0.1 {primary.port} 1\n"
        "sentinel down-after-milliseconds vaults 500\n"
        "sentinel failover-timeout vaults 5000\n"
    )
    process = spawn([str(binary), str(settings), "--sentinel"], output=subprocess.DEVNULL)
    admin = BlockingRedis(port=port)
    assert wait_until(lambda: _knows_a_replica(admin), seconds=30)
    yield port, primary
    admin.close()
    stop(process)
    replica.stop()
    primary.stop()


def _knows_a_replica(admin: BlockingRedis) -> bool:
    try:
        known = admin.sentinel_slaves("vaults")
    except RedisError:
        return False
    return bool(known) and known[0].get("master-link-status") == "ok"


async def test_after_a_failover_by_sentinel_old_values_are_not_fresh_and_all_works(
    sentinel: tuple[int, EmbeddedServer],
) -> None:
    port, primary = sentinel
    client = connect(f"redis+sentinel://127.0.0.1:{port}/vaults/0")
    cache = redis_cache(client)
    harness = Harness(cache, lambda: None)
    await harness.put(snapshot(ALICE, 1, height=5))
    assert await harness.is_fresh(ALICE)

    async def is_copied() -> bool:
        return bool(await client.wait(1, 100) == 1)

    await harness.until(is_copied, seconds=15)
    primary.process.kill()

    async def answers_again() -> bool:
        try:
            return isinstance(await harness.read(ALICE), Stale)
        except CacheUnavailableError:
            return False

    await harness.until(answers_again, seconds=60)
    await harness.put(snapshot(ALICE, 2, height=6))
    assert await harness.is_fresh(ALICE)
    await cache.aclose()
