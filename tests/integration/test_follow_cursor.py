"""The lease and the place of a follower, on a real server."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from cache.cursor import FollowerCursors, FollowerState
from domain.blocks import BlockMark
from tests.cache_support import Harness, redis_cache

CHAIN_ID = 0
KEY = "bc:follow:{0}"
LIFE_SECONDS = 30 * 24 * 3600
PLACE = FollowerState(cursor=BlockMark(7, "0x07"))


@pytest.fixture
def cursors(client: Redis) -> FollowerCursors:
    return FollowerCursors(client)


async def left_ms(client: Redis) -> int:
    """How long the present lease lasts."""
    seconds, micros = await client.time()
    deadline = await client.hget(KEY, "deadline")
    assert deadline is not None
    return int(deadline) - int(seconds) * 1000 - int(micros) // 1000


async def test_the_same_follower_who_asks_again_is_still_the_follower(
    cursors: FollowerCursors,
) -> None:
    assert await cursors.begin(CHAIN_ID, "one")
    assert await cursors.begin(CHAIN_ID, "one")
    assert await cursors.begin(CHAIN_ID, "two") is None


async def test_a_lease_that_is_over_is_taken_by_the_next_with_the_place(client: Redis) -> None:
    short = FollowerCursors(client, lease_ms=1)
    await short.begin(CHAIN_ID, "dead")
    await short.save(CHAIN_ID, "dead", PLACE)
    begun: list[FollowerState] = []

    async def taken() -> bool:
        answer = await FollowerCursors(client).begin(CHAIN_ID, "next")
        begun.extend([] if answer is None else [answer[1]])
        return bool(begun)

    await Harness(redis_cache(client), lambda: None).until(taken)

    assert begun == [PLACE]
    assert await short.save(CHAIN_ID, "dead", FollowerState()) is None
    assert (await short.status(CHAIN_ID)).state == PLACE


async def test_a_step_prolongs_the_lease_and_the_life(
    client: Redis, cursors: FollowerCursors
) -> None:
    short = FollowerCursors(client, lease_ms=2_000)
    await short.begin(CHAIN_ID, "one")
    assert 0 < await left_ms(client) <= 2_000
    assert LIFE_SECONDS - 60 < await client.ttl(KEY) <= LIFE_SECONDS
    await client.expire(KEY, 60)

    assert await cursors.save(CHAIN_ID, "one", PLACE)

    assert 5_000 < await left_ms(client) <= 10_000
    assert LIFE_SECONDS - 60 < await client.ttl(KEY) <= LIFE_SECONDS


async def test_an_ended_lease_is_free_at_once_and_the_place_stays(cursors: FollowerCursors) -> None:
    await cursors.begin(CHAIN_ID, "one")
    await cursors.save(CHAIN_ID, "one", PLACE, tip=9, ends=True)

    assert not (await cursors.status(CHAIN_ID)).active
    begun = await cursors.begin(CHAIN_ID, "two")
    assert begun is not None
    assert begun[1] == PLACE


async def test_a_step_that_knows_no_tip_keeps_the_one_that_is_known(
    cursors: FollowerCursors,
) -> None:
    await cursors.begin(CHAIN_ID, "one")
    await cursors.save(CHAIN_ID, "one", PLACE, tip=9)
    saved_at = await cursors.save(CHAIN_ID, "one", PLACE)

    status = await cursors.status(CHAIN_ID)
    assert (status.tip, status.seen_at_ms) == (9, saved_at)


async def test_a_damaged_key_stops_nobody(client: Redis, cursors: FollowerCursors) -> None:
    await client.set(KEY, "text")
    assert await cursors.begin(CHAIN_ID, "one")
    await client.delete(KEY)
    await client.set(KEY, "text")

    assert await cursors.save(CHAIN_ID, "one", PLACE) is None
    assert await cursors.begin(CHAIN_ID, "one")
