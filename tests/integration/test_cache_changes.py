"""Whoever follows the stream learns of every change, once and in order, and may resume."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from cache.changes import Change, ChangeKind, ChangeStream
from tests.cache_support import ALICE, MAINNET, TESTNET, Harness, redis_cache, snapshot


async def take(client: Redis, count: int, after: str | None) -> list[Change]:
    found = []
    async with asyncio.timeout(10):
        async for change in ChangeStream(client).follow(after):
            found.append(change)
            if len(found) == count:
                break
    return found


async def test_publishes_and_invalidations_are_told_in_order(client: Redis) -> None:
    harness = Harness(redis_cache(client), lambda: None)
    await harness.put(snapshot(ALICE, height=4))
    await harness.cache.invalidate([ALICE], MAINNET, 5)
    await harness.cache.invalidate([ALICE], TESTNET)

    changes = await take(client, 3, after="0-0")

    told = [(c.kind, c.chain_id, c.height, c.version) for c in changes]
    assert told == [
        (ChangeKind.PUBLISHED, MAINNET, 4, 1),
        (ChangeKind.INVALIDATED, MAINNET, 5, None),
        (ChangeKind.INVALIDATED, TESTNET, None, None),
    ]
    assert {change.address for change in changes} == {ALICE}


async def test_a_follower_resumes_where_it_stopped(client: Redis) -> None:
    harness = Harness(redis_cache(client), lambda: None)
    for height in (1, 2, 3):
        await harness.put(snapshot(ALICE, height=height))
    [first] = await take(client, 1, after="0-0")

    rest = await take(client, 2, after=first.position)

    assert [change.height for change in rest] == [2, 3]


async def test_a_new_follower_waits_for_what_comes(client: Redis) -> None:
    harness = Harness(redis_cache(client), lambda: None)
    await harness.put(snapshot(ALICE, height=1))
    coming = asyncio.create_task(take(client, 1, after=None))

    async def is_waiting() -> bool:
        clients = await client.client_list()
        return any(one["cmd"] == "xread" for one in clients)

    await harness.until(is_waiting)
    await harness.put(snapshot(ALICE, height=2))

    [change] = await coming
    assert change.height == 2
