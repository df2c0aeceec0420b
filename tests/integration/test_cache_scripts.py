"""What the scripts keep and refuse that no answer of the store shows at once: seen at the keys."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from redis.asyncio import Redis

from cache.commands import Commands
from cache.connection import connect
from cache.keys import EPOCH, Keys
from cache.store import RedisBalanceCache
from domain.ports import PublishOutcome
from domain.values import Address
from supervisor.valkey import EmbeddedServer
from tests.cache_support import ALICE, BOB, MAINNET, Harness, redis_cache, snapshot

FLAG = f"balance:invalidated:{ALICE}:{MAINNET}"
STATE = f"bc:state:{ALICE}:{MAINNET}"
LAST = f"bc:last:{ALICE}:{MAINNET}"
HOT = tuple(f"bc:{part}:{MAINNET}" for part in ("hot", "due", "reads", "watched"))


async def test_a_lease_of_another_history_is_neither_prolonged_nor_does_it_permit_a_publish(
    harness: Harness, client: Redis
) -> None:
    lease = await harness.lease(ALICE)

    await client.set(EPOCH, "another", ex=60)

    assert await harness.cache.extend([lease]) == {ALICE: False}
    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.LEASE_LOST


async def test_an_evicted_name_of_the_history_is_found_again(
    harness: Harness, client: Redis, cache_server: EmbeddedServer
) -> None:
    async with connect(cache_server.url()) as newcomer:  # names it, as every new connection does
        named = await newcomer.get(EPOCH)
    assert named is not None
    await harness.put(snapshot(ALICE))
    await client.delete(EPOCH)

    lease = await harness.lease(BOB)

    assert await client.get(EPOCH) == named
    assert await client.ttl(EPOCH) > 0
    await client.delete(EPOCH)
    assert await harness.cache.extend([lease]) == {BOB: True}
    assert await harness.is_fresh(ALICE)


async def test_the_same_token_again_is_the_same_lease(
    client: Redis, cache: RedisBalanceCache
) -> None:
    """The client sends a command again whose answer was lost."""
    keys = Keys()
    named = (
        *(keys.state(ALICE, MAINNET), keys.value(ALICE, MAINNET), keys.chain_flag(ALICE, MAINNET)),
        *(keys.global_flag(ALICE), keys.last_known(ALICE, MAINNET), EPOCH, keys.floor(MAINNET)),
    )
    ask = (named, ("token", 60_000, 60_000, ""))

    answers = await Commands(client).run("acquire", [ask, ask])

    assert answers == [[1, 0], [1, 0]]
    assert 0 < (await cache._leases.remaining_ms(MAINNET, [ALICE]))[ALICE] <= 60_000


async def test_a_lease_gives_its_state_a_life(harness: Harness, client: Redis) -> None:
    await harness.lease(ALICE)

    assert await client.ttl(STATE) > 80_000


async def test_a_flag_that_comes_after_another_has_ended_stops_the_fetch(
    harness: Harness, client: Redis
) -> None:
    await client.set(FLAG, "1", px=40)
    lease = await harness.lease(ALICE)

    async def has_ended() -> bool:
        return not await client.exists(FLAG)

    await harness.until(has_ended)
    await client.set(FLAG, "2", ex=60)

    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.FLAG_CHANGED


async def test_without_the_last_known_snapshot_the_state_keeps_the_height(
    harness: Harness, client: Redis
) -> None:
    await harness.put(snapshot(ALICE, height=30, height_upper=33))
    await client.delete(LAST)

    lease = await harness.lease(ALICE)
    late = await harness.cache.publish([(lease, snapshot(ALICE, height=32))])

    assert lease.required_height == 33
    assert late[ALICE] is PublishOutcome.OLDER_THAN_STORED


@pytest.mark.parametrize("hash_tags", [False, True])
@pytest.mark.parametrize(
    ("invalidated", "fresh_ms", "due_after_ms"),
    [(False, 600_000, 540_000), (True, 60_000, 30_000)],
    ids=["plain", "probation"],
)
async def test_it_is_due_as_long_before_its_end_as_its_readers_are_told(
    client: Redis, hash_tags: bool, invalidated: bool, fresh_ms: int, due_after_ms: int
) -> None:
    cache = redis_cache(client, hash_tags=hash_tags, probation_fresh_seconds=60)
    keys = Keys(hash_tags)
    await cache.mark_read(MAINNET, [ALICE])
    if invalidated:
        await cache.invalidate([ALICE], MAINNET)

    await Harness(cache, lambda: None).put(snapshot(ALICE))

    value = json.loads(await client.get(keys.value(ALICE, MAINNET)) or b"")
    assert value["softLife"] == due_after_ms
    assert 0 <= fresh_ms - await client.pttl(keys.value(ALICE, MAINNET)) < 10_000
    due_at = await client.zscore(keys.due(MAINNET), ALICE)
    assert due_at is not None
    # With hash tags another script says it, a moment later.
    assert 0 <= due_at - value["timestamp"] - due_after_ms < (10_000 if hash_tags else 1)


@pytest.mark.parametrize("hash_tags", [False, True])
async def test_whoever_is_first_read_after_a_publish_is_due_as_long_before_its_end(
    client: Redis, hash_tags: bool
) -> None:
    cache, keys = redis_cache(client, hash_tags=hash_tags), Keys(hash_tags)
    await Harness(cache, lambda: None).put(snapshot(ALICE))

    await cache.mark_read(MAINNET, [ALICE])

    value = json.loads(await client.get(keys.value(ALICE, MAINNET)) or b"")
    due_at = await client.zscore(keys.due(MAINNET), ALICE)
    assert due_at is not None
    # The rest of a life is told in whole milliseconds; with hash tags it is asked for before.
    assert -2 < due_at - value["timestamp"] - 540_000 < 10_000


async def test_whoever_falls_out_of_the_hot_set_leaves_nothing_behind(
    cache: RedisBalanceCache, client: Redis
) -> None:
    async def known() -> list[Any]:
        hot, due, reads, watched = HOT
        return [
            await client.zrange(hot, 0, -1),
            await client.zrange(due, 0, -1),
            await client.hkeys(reads),
            await client.hkeys(watched),
        ]

    async def watch(*addresses: Address) -> None:
        await cache.mark_read(MAINNET, addresses)
        for one in addresses:
            await client.hset(HOT[3], one, "1.0:60")

    await watch(ALICE, BOB)
    await client.zadd(HOT[0], {ALICE: 1})

    assert await cache.due(MAINNET, 5) == [BOB]
    assert await known() == [[BOB.encode()]] * 4


async def test_reads_fade_until_the_next_one_and_never_grow(
    cache: RedisBalanceCache, client: Redis
) -> None:
    memory_ms = 1_800_000  # half of a hot life
    await cache.mark_read(MAINNET, [ALICE, BOB])
    seconds, _ = await client.time()
    now_ms = seconds * 1_000
    await client.hset(HOT[2], ALICE, f"8:{now_ms - memory_ms}")
    await client.hset(HOT[2], BOB, f"8:{now_ms + memory_ms}")  # the clock went back

    await cache.mark_read(MAINNET, [ALICE, BOB])

    known: Any = await client.hmget(HOT[2], ALICE, BOB)
    counts = [float(text.split(b":")[0]) for text in known]
    assert counts == [pytest.approx(8 / math.e + 1, abs=0.02), 9]


async def test_whoever_comes_into_the_hot_set_begins_with_no_history_of_changes(
    cache: RedisBalanceCache, client: Redis
) -> None:
    await cache.mark_read(MAINNET, [BOB])
    for one in (ALICE, BOB):
        await client.hset(HOT[3], one, "1.0:60")

    await cache.mark_read(MAINNET, [ALICE, BOB])

    assert await client.hkeys(HOT[3]) == [BOB.encode()]
