"""Defects of the shipped TypeScript cache that no other test names: here they cannot happen.

docs/bako.md lists all of them, each with its test.
"""

from __future__ import annotations

from redis.asyncio import Redis

from cache.store import RedisBalanceCache
from domain.values import Fresh, Stale
from tests.cache_support import ALICE, BOB, MAINNET, TESTNET, Harness, snapshot


async def test_an_invalidation_on_chain_zero_is_no_invalidation_of_every_chain(
    cache: RedisBalanceCache, client: Redis
) -> None:
    harness = Harness(cache, lambda: None)
    for chain_id in (TESTNET, MAINNET):
        await harness.put(snapshot(ALICE, chain_id=chain_id))

    await cache.invalidate([ALICE], TESTNET, 5)

    assert isinstance(await harness.read(ALICE, TESTNET), Stale)
    assert isinstance(await harness.read(ALICE, MAINNET), Fresh)
    assert not await client.exists(f"balance:invalidated:{ALICE}")
    assert not await client.exists(f"tx:refresh:{ALICE}:{MAINNET}")
    await cache.clear([ALICE], TESTNET)
    await cache.clear_invalidation([ALICE], TESTNET)
    assert isinstance(await harness.read(ALICE, MAINNET), Fresh)


async def test_no_operation_on_predicates_walks_the_key_space(
    cache: RedisBalanceCache, client: Redis
) -> None:
    harness = Harness(cache, lambda: None)
    await client.config_resetstat()

    await harness.put(snapshot(ALICE))
    await cache.read(MAINNET, [ALICE, BOB])
    await cache.invalidate([ALICE])
    await cache.invalidate([ALICE], TESTNET, 3)
    await cache.clear_invalidation([ALICE])
    await cache.clear([ALICE])
    await cache.mark_read(MAINNET, [ALICE])
    await cache.due(MAINNET, 10)

    ran = await client.info("commandstats")
    assert "cmdstat_evalsha" in ran, "or nothing was looked at"
    assert not {"cmdstat_keys", "cmdstat_scan"} & set(ran)


async def test_counters_outlive_an_idle_hour(cache: RedisBalanceCache, client: Redis) -> None:
    await cache.read(MAINNET, [ALICE])
    await cache.stats()

    assert await client.ttl("bc:counters") > 24 * 3600
