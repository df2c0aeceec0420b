"""What Bako's TypeScript reads and writes beside us, byte for byte, and what we keep for it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha1
from typing import Any

import pytest
from redis.asyncio import Redis

from cache.commands import Commands
from cache.store import RedisBalanceCache
from domain.ports import Busy, Lease, PublishOutcome
from domain.values import Balance, Fresh, Missing, Snapshot, Stale, StaleReason
from supervisor.valkey import EmbeddedServer
from tests.cache_support import (
    MAINNET,
    TESTNET,
    URL,
    Harness,
    address,
    asset,
    empty_client,
    redis_cache,
    snapshot,
)

ALICE = address(1)
VALUE = f"balance:{ALICE}:{MAINNET}"
FLAG = f"balance:invalidated:{ALICE}:{MAINNET}"
GLOBAL_FLAG = f"balance:invalidated:{ALICE}"
HOUR_MS = 3_600_000


@pytest.fixture
async def client(cache_server: EmbeddedServer) -> AsyncIterator[Redis]:
    client = await empty_client(cache_server)
    yield client
    await client.aclose()


@pytest.fixture
async def cache(client: Redis) -> AsyncIterator[RedisBalanceCache]:
    cache = redis_cache(client)
    yield cache
    await cache.aclose()


@pytest.fixture
def harness(cache: RedisBalanceCache) -> Harness:
    return Harness(cache, lambda: None)


def bako_value(amount: str = "0x5", timestamp: int | None = None, **changes: Any) -> str:
    value = {
        "balances": [{"assetId": asset(1), "amount": amount}],
        "timestamp": int(time.time() * 1000) if timestamp is None else timestamp,
        "chainId": MAINNET,
        "networkUrl": URL,
    }
    return json.dumps(value | changes, separators=(",", ":"))


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


@pytest.mark.parametrize("flag", [FLAG, GLOBAL_FLAG])
async def test_either_flag_makes_a_value_stale(harness: Harness, client: Redis, flag: str) -> None:
    await harness.put(snapshot(ALICE))

    await client.set(flag, "1", ex=3_600)

    answer = await harness.read(ALICE)
    assert isinstance(answer, Stale)
    assert answer.reason is StaleReason.INVALIDATED


async def test_what_bako_wrote_is_a_hit(harness: Harness, client: Redis) -> None:
    await client.set(VALUE, bako_value("0xf4240"), ex=300)

    answer = await harness.read(ALICE)

    assert isinstance(answer, Fresh)
    assert answer.stored.foreign
    assert answer.stored.version == 0
    assert answer.stored.snapshot == Snapshot(
        ALICE, MAINNET, (Balance(asset(1), 1_000_000),), network_url=URL
    )


async def test_an_empty_list_of_bako_is_a_hit_and_zero_rows_are_dropped(
    harness: Harness, client: Redis
) -> None:
    await client.set(VALUE, bako_value(balances=[]), ex=300)
    empty = await harness.read(ALICE)
    await client.set(VALUE, bako_value("0x0"), ex=300)
    zero = await harness.read(ALICE)

    assert isinstance(empty, Fresh)
    assert isinstance(zero, Fresh)
    assert empty.stored.snapshot.balances == zero.stored.snapshot.balances == ()


async def test_a_late_write_of_bako_after_our_invalidation_is_not_fresh(
    harness: Harness, client: Redis
) -> None:
    """Bako's fetch was under way: its write puts the old balances back and clears the flags."""
    await harness.cache.invalidate([ALICE], MAINNET, 9)
    await client.set(VALUE, bako_value(), ex=300)
    await client.delete(FLAG, GLOBAL_FLAG)

    before_refill = await harness.read(ALICE)
    await client.delete(VALUE)
    await harness.put(snapshot(ALICE, height=9))
    await client.set(VALUE, bako_value(), ex=300)
    after_refill = await harness.read(ALICE)

    assert isinstance(before_refill, Stale)
    assert isinstance(after_refill, Stale)
    assert after_refill.stored.snapshot == snapshot(ALICE, height=9)


async def test_bako_is_trusted_again_after_the_skew(harness: Harness, client: Redis) -> None:
    await harness.cache.invalidate([ALICE], MAINNET)
    await harness.put(snapshot(ALICE))
    later = int(time.time() * 1000) + 61_000

    await client.set(VALUE, bako_value(timestamp=later), ex=300)

    assert await harness.is_fresh(ALICE)


async def test_an_invalidation_by_bako_stops_our_fetch(harness: Harness, client: Redis) -> None:
    lease = await harness.lease(ALICE)

    await client.delete(VALUE)
    await client.set(FLAG, "1764104869733", ex=3_600)
    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])

    assert outcomes[ALICE] is PublishOutcome.FLAG_CHANGED
    assert await client.exists(FLAG) == 1, "the invalidation still stands"


async def test_an_invalidation_by_bako_that_its_own_write_cleared_stops_our_fetch(
    harness: Harness, client: Redis
) -> None:
    await harness.put(snapshot(ALICE))
    lease = await harness.lease(ALICE)

    await client.set(FLAG, "1", ex=3_600)
    await client.set(VALUE, bako_value(), ex=300)
    await client.delete(FLAG, GLOBAL_FLAG)

    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.FLAG_CHANGED


async def test_a_second_invalidation_by_bako_stops_the_fetch_after_the_first(
    harness: Harness, client: Redis
) -> None:
    await client.set(FLAG, "1", ex=3_600)
    lease = await harness.lease(ALICE)

    await client.set(FLAG, "2", ex=3_600)

    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.FLAG_CHANGED


async def test_a_flag_from_before_the_fetch_is_cleared_by_its_publish(
    harness: Harness, client: Redis
) -> None:
    await client.set(FLAG, "1", ex=3_600)

    await harness.put(snapshot(ALICE))

    assert await client.exists(FLAG) == 0
    assert await harness.is_fresh(ALICE)


async def test_keys_that_come_to_their_own_end_during_a_fetch_do_not_stop_it(
    harness: Harness, client: Redis
) -> None:
    await client.set(FLAG, "1", px=40)
    await client.set(GLOBAL_FLAG, "1", px=40)
    await client.set(VALUE, bako_value(), px=40)
    lease = await harness.lease(ALICE)

    async def are_gone() -> bool:
        return not await client.exists(FLAG, GLOBAL_FLAG, VALUE)

    await harness.until(are_gone)
    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.PUBLISHED


async def test_a_value_without_an_end_that_somebody_deletes_stops_our_fetch(
    harness: Harness, client: Redis
) -> None:
    await client.set(VALUE, bako_value())
    lease = await harness.lease(ALICE)

    await client.delete(VALUE)

    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.FLAG_CHANGED


@pytest.mark.parametrize("life_ms", [HOUR_MS, None])
async def test_taking_the_flag_of_all_apart_leaves_the_flags_of_others_as_they_are(
    harness: Harness, client: Redis, life_ms: int | None
) -> None:
    other, third = (f"balance:invalidated:{ALICE}:{chain}" for chain in (TESTNET, 7))
    wide = Harness(redis_cache(client, chain_ids=(MAINNET, TESTNET, 7)), lambda: None)
    await client.set(GLOBAL_FLAG, "1", px=life_ms)
    await client.set(other, "2", px=60_000)

    await wide.put(snapshot(ALICE))

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


@pytest.mark.parametrize("flag", [FLAG, GLOBAL_FLAG])
async def test_clearing_a_flag_takes_the_old_value_under_it_along(
    harness: Harness, client: Redis, flag: str
) -> None:
    """An unfenced writer put an old value back; its flag is all that keeps it from being served."""
    await client.set(VALUE, bako_value(), ex=300)
    await client.set(flag, "1", ex=3_600)
    lease = await harness.lease(ALICE)

    await harness.cache.clear_invalidation([ALICE], MAINNET)

    assert await harness.read(ALICE) == Missing()
    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.LEASE_LOST, "it could not see the flag go"


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
    good, bad = bako_value(), bako_value("five")
    await client.set(VALUE, good, ex=300)
    harness = Harness(redis_cache(client), lambda: None)

    digest = sha1(bad.encode(), usedforsecurity=False).hexdigest()
    await commands.run("drop_value", [((VALUE,), (digest,))])
    assert await client.get(VALUE) == good.encode()
    await client.set(VALUE, bad, ex=300)
    assert await harness.read(ALICE) == Missing()
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
