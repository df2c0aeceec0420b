"""What Bako's TypeScript finds of ours, byte for byte: values, flags, their lives."""

from __future__ import annotations

import json
import time

import pytest
from redis.asyncio import Redis

from domain.values import Balance, Snapshot
from tests.cache_support import ALICE, MAINNET, TESTNET, URL, Harness, asset, redis_cache, snapshot
from tests.drop_in_support import FLAG, GLOBAL_FLAG, HOUR_MS, VALUE


async def test_a_value_begins_with_what_bako_writes_byte_for_byte(
    harness: Harness, client: Redis
) -> None:
    balances = (Balance(asset(2), 2**64), Balance(asset(1), 10))
    await harness.put(Snapshot(ALICE, MAINNET, balances, 5, 6, URL))

    raw = str(await client.get(VALUE), "ascii")  # type: ignore[arg-type]  # never decoded

    value = json.loads(raw)
    expected = {
        "balances": [
            {"assetId": asset(2), "amount": "0x10000000000000000"},
            {"assetId": asset(1), "amount": "0xa"},
        ],
        "timestamp": value["timestamp"],
        "chainId": MAINNET,
        "networkUrl": URL,
    }
    assert raw.startswith(json.dumps(expected, separators=(",", ":"))[:-1] + ",")
    assert isinstance(value["timestamp"], int)
    assert abs(value["timestamp"] - time.time() * 1000) < 60_000
    assert list(value)[4:] == ["height", "heightUpper", "softLife", "epoch", "version"]


async def test_a_snapshot_without_a_network_address_leaves_it_out_as_bako_does(
    harness: Harness, client: Redis
) -> None:
    await harness.put(Snapshot(ALICE, MAINNET, ()))

    assert "networkUrl" not in json.loads(await client.get(VALUE) or b"")


async def test_credentials_of_a_network_never_reach_redis(harness: Harness, client: Redis) -> None:
    told = Snapshot(ALICE, MAINNET, (), network_url="https://user:secret@node/v1?key=secret")

    await harness.put(told)

    async for key in client.scan_iter():
        if await client.type(key) == b"string":
            assert b"secret" not in (await client.get(key) or b"")


async def test_every_key_has_a_life(harness: Harness, client: Redis) -> None:
    cache = harness.cache
    await harness.put(snapshot(ALICE))
    fresh_life = await client.ttl(VALUE)
    await cache.mark_read(MAINNET, [ALICE])
    await cache.invalidate([ALICE])
    await harness.put(snapshot(ALICE))
    await harness.read(ALICE)
    await harness.lease(ALICE)
    await cache.stats()

    lives = {key.decode(): await client.ttl(key) async for key in client.scan_iter()}

    assert len(lives) >= 10
    assert {key: life for key, life in lives.items() if life < 0} == {}
    assert fresh_life in range(599, 601)
    assert lives[f"bc:last:{ALICE}:{MAINNET}"] in range(86_399, 86_401)


async def test_an_invalidation_leaves_what_bako_looks_at(harness: Harness, client: Redis) -> None:
    await harness.put(snapshot(ALICE))

    await harness.cache.invalidate([ALICE], MAINNET)

    assert await client.exists(VALUE) == 0
    assert await client.exists(GLOBAL_FLAG) == 0
    for key, life in ((FLAG, 3_600), (f"tx:refresh:{ALICE}:{MAINNET}", 600)):
        assert abs(int(await client.get(key) or 0) - time.time() * 1000) < 60_000
        assert await client.ttl(key) in range(life - 1, life + 1)


async def test_an_invalidation_of_every_chain_sets_the_flag_of_all(
    harness: Harness, client: Redis
) -> None:
    await harness.cache.invalidate([ALICE])

    assert await client.exists(GLOBAL_FLAG, FLAG, f"balance:invalidated:{ALICE}:{TESTNET}") == 3


async def test_a_publish_takes_the_flag_of_all_apart_for_the_other_chains(
    harness: Harness, client: Redis
) -> None:
    """Bako's write drops the flag of every chain when it has refilled one."""
    await client.set(GLOBAL_FLAG, "1764104869733", px=HOUR_MS)

    await harness.put(snapshot(ALICE))

    other = f"balance:invalidated:{ALICE}:{TESTNET}"
    assert await client.exists(GLOBAL_FLAG, FLAG) == 0
    assert await client.get(other) == b"1764104869733"
    assert HOUR_MS - 5_000 < await client.pttl(other) <= HOUR_MS


@pytest.mark.parametrize("by", ["publish", "clear"])
@pytest.mark.parametrize("life_ms", [HOUR_MS, None])
async def test_taking_the_flag_of_all_apart_leaves_the_flags_of_others_as_they_are(
    client: Redis, life_ms: int | None, by: str
) -> None:
    other, third = (f"balance:invalidated:{ALICE}:{chain}" for chain in (TESTNET, 7))
    wide = Harness(redis_cache(client, chain_ids=(MAINNET, TESTNET, 7)), lambda: None)
    await client.set(GLOBAL_FLAG, "1", px=life_ms)
    await client.set(other, "2", px=60_000)

    if by == "publish":
        await wide.put(snapshot(ALICE))
    else:
        await wide.cache.clear_invalidation([ALICE], MAINNET)

    assert await client.get(other) == b"2"
    assert await client.pttl(other) <= 60_000
    assert await client.get(third) == b"1"
    assert 0 < await client.pttl(third) <= HOUR_MS


@pytest.mark.parametrize("life_ms", [60_000, None])
async def test_clearing_the_flag_of_all_for_one_chain_leaves_it_to_the_others(
    harness: Harness, client: Redis, life_ms: int | None
) -> None:
    await client.set(GLOBAL_FLAG, "1", px=life_ms)

    await harness.cache.clear_invalidation([ALICE], MAINNET)

    assert await client.exists(GLOBAL_FLAG, FLAG) == 0
    other = f"balance:invalidated:{ALICE}:{TESTNET}"
    assert await client.get(other) == b"1"
    assert 0 < await client.pttl(other) <= (life_ms or HOUR_MS)
