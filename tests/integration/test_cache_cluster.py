"""The store on a real three-node cluster and behind a real Sentinel, all on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import psutil
import pytest
from redis.asyncio.cluster import RedisCluster

from cache.connection import connect
from cache.rest import rest_of
from domain.errors import CacheUnavailableError
from domain.ports import Lease, PublishOutcome
from domain.values import Address, Fresh, Missing, Stale
from supervisor.valkey import EmbeddedServer
from tests.cache_support import ALICE, MAINNET, TESTNET, Harness, address, redis_cache, snapshot
from tests.cluster_support import running_cluster, running_sentinel

CROWD = [address(number) for number in range(30)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as url:
        yield url


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


async def test_a_node_that_hangs_is_a_cache_that_is_away(cluster: str) -> None:
    """Its answers' places hold errors of the link: they are neither balances nor absent flags."""
    client = connect(cluster)
    cache = redis_cache(client, hash_tags=True)
    await cache.read(MAINNET, CROWD)
    process = psutil.Process(
        int((await client.info("server", target_nodes="random"))["process_id"])
    )

    process.suspend()
    try:
        for operation in (
            cache.acquire(MAINNET, CROWD),
            cache.read(MAINNET, CROWD),
            cache.invalidate(CROWD, MAINNET),
        ):
            async with asyncio.timeout(30):
                with pytest.raises(CacheUnavailableError):
                    await operation
    finally:
        process.resume()

    async def answers_again() -> bool:
        try:
            await cache.read(MAINNET, CROWD)
        except CacheUnavailableError:
            return False
        return True

    await Harness(cache, lambda: None).until(answers_again, seconds=30)
    await cache.aclose()


@pytest.mark.parametrize("which", range(3))
async def test_a_node_that_hangs_rests_and_the_others_go_on(
    cluster: str, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever it is: one of them has the counts, and one would have the name of a history."""
    monkeypatch.setattr("cache.clock._TRUST_SECONDS", -1.0)  # each read brings time and counts
    client = connect(cluster)
    cache = redis_cache(client, hash_tags=True)
    await cache.read(MAINNET, CROWD)
    told: list[bool] = []
    rest_of(client).told = lambda *, is_resting: told.append(is_resting)
    nodes = sorted(cast("RedisCluster", client).get_nodes(), key=lambda node: int(node.port))
    server = await cast("RedisCluster", client).info("server", target_nodes=nodes[which])
    process = psutil.Process(int(server["process_id"]))

    async def reason(who: Address) -> str:
        try:
            await cache.read(MAINNET, [who])
        except CacheUnavailableError as error:
            return str(error)
        return ""

    process.suspend()
    try:
        reasons = {who: await reason(who) for who in CROWD}
        away = [who for who, why in reasons.items() if why]
        assert 0 < len(away) < len(CROWD)
        again = [await reason(who) for who in away[:5] * 6]
        waited = [why for why in again if "it rests" not in why]
        assert len(waited) < 10, "or each of them has waited"
        assert [await reason(who) for who in CROWD if who not in away] == [""] * (30 - len(away))
        assert told == [True]
    finally:
        process.resume()

    async def answers_again() -> bool:
        return not [who for who in CROWD if await reason(who)]

    await Harness(cache, lambda: None).until(answers_again, seconds=30)
    assert told == [True, False]
    await cache.aclose()


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[tuple[str, EmbeddedServer]]:
    with running_sentinel(tmp_path) as pair:
        yield pair


async def test_after_a_failover_by_sentinel_old_values_are_not_fresh_and_all_works(
    sentinel: tuple[str, EmbeddedServer],
) -> None:
    url, primary = sentinel
    client = connect(url)
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
