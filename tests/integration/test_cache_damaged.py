"""A key that somebody damaged is a miss that heals, and stops nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha1

import pytest
from redis.asyncio import Redis

from cache.commands import Commands
from cache.store import RedisBalanceCache
from cache.watched import WatchedPredicates
from domain.ports import Lease, PublishOutcome
from domain.values import Missing, Stale
from tests.cache_support import ALICE, MAINNET, TESTNET, Harness, redis_cache, snapshot
from tests.drop_in_support import FLAG, GLOBAL_FLAG, VALUE, bako_value

POISON = [
    b"{",
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b"\xff\xfe",
    b"{}",
    b"[" * 100_000,
    bako_value(chainId=TESTNET).encode(),
    bako_value(chainId=str(MAINNET)).encode(),
    bako_value(chainId=True).encode(),
    bako_value("5").encode(),
    bako_value("0x").encode(),
    bako_value("-0x5").encode(),
    bako_value("0x1_0").encode(),
    bako_value("0x1" + "0" * 32).encode(),
    bako_value(timestamp=-1).encode(),
    bako_value(balances=None).encode(),
    bako_value(balances={}).encode(),
    bako_value(balances=[7]).encode(),
    bako_value(balances=[{"assetId": "0x12", "amount": "0x1"}]).encode(),
    bako_value(networkUrl=7).encode(),
    bako_value(version=1, epoch="e").encode(),
    bako_value(version=1, epoch=None, height=1, softLife=1).encode(),
    bako_value(balances="x" * 5_000_000).encode(),
]


@pytest.mark.parametrize("raw", POISON, ids=range(len(POISON)))
async def test_a_poisoned_value_is_a_miss_and_counted(
    harness: Harness, client: Redis, raw: bytes
) -> None:
    await client.set(VALUE, raw, ex=300)
    await client.set(f"bc:last:{ALICE}:{MAINNET}", raw, ex=300)

    answers = await harness.cache.read(MAINNET, [ALICE])  # once: reading counts it

    assert answers == {ALICE: Missing()}
    stats = await harness.cache.stats()
    assert stats["poisoned"] == 2
    await harness.put(snapshot(ALICE))
    assert await harness.is_fresh(ALICE), "and the next fetch heals it"


async def test_a_poisoned_value_with_whole_marks_does_not_pass_for_a_newer_one(
    harness: Harness, client: Redis
) -> None:
    """Who has read nothing asks for the lease, and must not be told to read again for ever."""
    await harness.put(snapshot(ALICE, 5))
    [good] = await Commands(client).get_many([VALUE])
    assert good is not None
    bad = good.replace(b'"amount":"0x5"', b'"amount":"five"')
    await client.set(VALUE, bad, ex=300)

    assert isinstance(await harness.read(ALICE), Stale), "the last known is still there"
    await client.delete(f"bc:last:{ALICE}:{MAINNET}")
    await client.set(VALUE, bad, ex=300)
    assert await harness.read(ALICE) == Missing()
    held = await harness.cache.acquire(MAINNET, [ALICE], seen={ALICE: 0})
    assert isinstance(held[ALICE], Lease)


async def test_a_reader_of_a_poisoned_value_drops_neither_a_new_one_nor_a_foreign_one(
    client: Redis,
) -> None:
    commands = Commands(client)
    bad = bako_value("five")
    harness = Harness(redis_cache(client), lambda: None)
    await harness.put(snapshot(ALICE))
    good = await client.get(VALUE)

    drop = ((VALUE,), (sha1(bad.encode(), usedforsecurity=False).hexdigest(),))
    assert await commands.run("drop_value", [drop]) == [0]
    assert await client.get(VALUE) == good
    await client.delete(VALUE)
    assert await commands.run("drop_value", [drop]) == [0]
    await client.set(VALUE, bad, ex=300)
    assert not await harness.is_fresh(ALICE)
    assert await client.get(VALUE) == bad.encode()


async def test_keys_of_another_type_are_misses_and_healed(harness: Harness, client: Redis) -> None:
    for key in (VALUE, f"bc:last:{ALICE}:{MAINNET}", f"bc:hot:{MAINNET}", f"bc:due:{MAINNET}"):
        await client.hset(key, mapping={"a": "b"})
    for key in (f"bc:state:{ALICE}:{MAINNET}", "bc:changes"):
        await client.set(key, "text")

    assert await harness.read(ALICE) == Missing()
    await harness.cache.mark_read(MAINNET, [ALICE])
    await harness.put(snapshot(ALICE))
    await harness.cache.invalidate([ALICE])
    assert await harness.cache.due(MAINNET, 5) == [ALICE]


@pytest.mark.parametrize("key", [f"bc:state:{ALICE}:{MAINNET}", f"bc:due:{MAINNET}", "bc:changes"])
async def test_a_key_of_ours_that_was_damaged_stops_no_change(
    harness: Harness, client: Redis, key: str
) -> None:
    lease = await harness.lease(ALICE)
    await client.set(key, "text")
    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    await client.set(key, "text")
    await harness.cache.invalidate([ALICE], MAINNET)

    damaged_lease = key.startswith("bc:state")
    expected = PublishOutcome.LEASE_LOST if damaged_lease else PublishOutcome.PUBLISHED
    assert outcomes[ALICE] is expected
    assert not await harness.is_fresh(ALICE)


async def test_with_hash_tags_a_damaged_due_time_stops_no_change(client: Redis) -> None:
    cache = redis_cache(client, hash_tags=True)
    await client.set(f"bc:due:{{chain-{MAINNET}}}", "text")

    await cache.invalidate([ALICE], MAINNET)

    assert not await client.exists(f"bc:due:{{chain-{MAINNET}}}")


OPERATIONS: dict[str, Callable[[RedisBalanceCache, Lease], Awaitable[object]]] = {
    "read": lambda cache, _: cache.read(MAINNET, [ALICE]),
    "acquire": lambda cache, _: cache.acquire(MAINNET, [ALICE]),
    "extend": lambda cache, lease: cache.extend([lease]),
    "release": lambda cache, lease: cache.release([lease]),
    "wait": lambda cache, _: cache.wait_published(MAINNET, [ALICE], 5),
    "clear": lambda cache, _: cache.clear([ALICE]),
    "clear flags": lambda cache, _: cache.clear_invalidation([ALICE]),
    "mark read": lambda cache, _: cache.mark_read(MAINNET, [ALICE]),
    "due": lambda cache, _: cache.due(MAINNET, 5),
    "stats": lambda cache, _: cache.stats(),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("damage", ["text", "hash"])
async def test_no_operation_fails_for_a_key_that_was_damaged(
    cache: RedisBalanceCache, client: Redis, harness: Harness, name: str, damage: str
) -> None:
    lease = await harness.lease(ALICE)
    for key in (
        *(VALUE, FLAG, GLOBAL_FLAG, f"bc:last:{ALICE}:{MAINNET}", f"bc:state:{ALICE}:{MAINNET}"),
        *(f"bc:hot:{MAINNET}", f"bc:due:{MAINNET}", "bc:changes", "bc:counters"),
    ):
        await client.delete(key)
        if damage == "text":
            await client.set(key, "text")
        else:
            await client.hset(key, mapping={"lease_token": "x", "minimum": "y"})

    await OPERATIONS[name](cache, lease)


@pytest.mark.parametrize("damaged", [False, True])
async def test_what_is_forgotten_leaves_no_height(
    harness: Harness, client: Redis, damaged: bool
) -> None:
    await harness.put(snapshot(ALICE, height=9))
    if damaged:
        await client.set(f"bc:state:{ALICE}:{MAINNET}", "text")

    await WatchedPredicates(client).forget(MAINNET, [ALICE])

    assert await harness.read(ALICE) == Missing()
    assert (await harness.lease(ALICE)).required_height == 0
