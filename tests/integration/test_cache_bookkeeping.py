"""What the store keeps beside the values: the life of its keys, leases, the hot set, counts."""

from __future__ import annotations

from redis.asyncio import Redis

from domain.ports import Busy
from tests.cache_support import ALICE, MAINNET, Harness, address, redis_cache, snapshot


async def test_every_change_renews_the_life_of_what_it_needs(
    harness: Harness, client: Redis
) -> None:
    state = f"bc:state:{ALICE}:{MAINNET}"

    async def shorten() -> None:
        for key in (state, "bc:changes"):
            await client.pexpire(key, 5_000)

    lease = await harness.lease(ALICE)
    await shorten()
    await harness.cache.publish([(lease, snapshot(ALICE))])
    after_publish = [await client.pttl(key) for key in (state, "bc:changes")]
    await shorten()
    await harness.cache.invalidate([ALICE], MAINNET)
    after_invalidation = [await client.pttl(key) for key in (state, "bc:changes")]

    assert min(*after_publish, *after_invalidation) > 80_000_000


async def test_an_extended_lease_lasts_longer(client: Redis) -> None:
    short, long = redis_cache(client, lease_seconds=5), redis_cache(client, lease_seconds=60)
    lease = await Harness(short, lambda: None).lease(ALICE)

    await long.extend([lease])

    held = (await short.acquire(MAINNET, [ALICE]))[ALICE]
    assert isinstance(held, Busy)
    assert 50_000 < held.wait_ms <= 60_000


async def test_the_cold_leave_both_sets(client: Redis) -> None:
    cache = redis_cache(client, hot_life_seconds=60)
    await cache.mark_read(MAINNET, [ALICE, address(2)])
    await client.zadd(f"bc:hot:{MAINNET}", {ALICE: 1})

    assert await cache.due(MAINNET, 5) == [address(2)]
    assert await client.zcard(f"bc:hot:{MAINNET}") == 1
    assert await client.zcard(f"bc:due:{MAINNET}") == 1


async def test_whoever_nobody_reads_any_more_leaves_also_when_the_reads_alone_were_evicted(
    client: Redis,
) -> None:
    cache = redis_cache(client, hot_life_seconds=60)
    await cache.mark_read(MAINNET, [ALICE, address(2)])
    await client.hset(f"bc:watched:{MAINNET}", ALICE, "1.0:60")
    await client.delete(f"bc:hot:{MAINNET}")
    await cache.mark_read(MAINNET, [address(2)])

    assert await cache.due(MAINNET, 5) == [address(2)]
    assert await client.hkeys(f"bc:reads:{MAINNET}") == [address(2).encode()]
    assert not await client.exists(f"bc:watched:{MAINNET}")


async def test_statistics_count_no_flags_and_book_nothing_on_chain_zero(
    harness: Harness, client: Redis
) -> None:
    """Bako's statistics take flags for values and a flag without a chain for chain 0."""
    await harness.put(snapshot(ALICE))
    await harness.cache.invalidate([address(2)])

    stats = await harness.cache.stats()

    assert stats["by_chain"] == {"9889": 1}
    assert stats["total_keys"] == 1


async def test_counts_of_several_processes_add_up(harness: Harness, client: Redis) -> None:
    """Bako's counters are read and written in two steps and lose counts."""
    others = [redis_cache(client) for _ in range(3)]
    for cache in others:
        for _ in range(5):
            await cache.read(MAINNET, [ALICE])
        await cache.stats()

    assert (await harness.cache.stats())["misses"] == 15


async def test_reading_any_number_of_fresh_vaults_is_one_round_trip(
    harness: Harness, client: Redis
) -> None:
    crowd = [address(number) for number in range(100)]
    for one in crowd:
        await harness.put(snapshot(one))
    await harness.cache.read(MAINNET, crowd)
    before = await client.info("commandstats")

    await harness.cache.read(MAINNET, crowd)

    after = await client.info("commandstats")
    calls = {
        name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"]
        for name in after
        if name.startswith("cmdstat_") and name != "cmdstat_info"
    }
    assert {name: number for name, number in calls.items() if number} == {"cmdstat_mget": 1}
