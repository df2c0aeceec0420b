"""Nothing of a warm-up stays longer than it is needed, and damaged keys are worth nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from cache.warm_ups import Shelf, UnitState, WarmUpUnit
from tests.provider_support import until
from tests.warm_up_support import Make, addresses, let_end


async def test_what_nobody_waits_for_any_more_is_dropped(make: Make, shelf: Shelf) -> None:
    warm_ups = make(wish_seconds=0.1)
    await warm_ups.note_logins({"ada": addresses(3)}, [shelf.chain_id])
    await warm_ups.offer(shelf, "login", addresses(3))
    seen: list[int] = []

    async def expired() -> bool:
        progress = await warm_ups.progress("ada", shelf.chain_id)
        seen.append(0 if progress is None else progress.failed)
        return seen[-1] == 3

    await until(expired)
    part, tickets = await warm_ups.take(shelf, "part")
    assert (part, tickets.count) == ((), 0)
    # Forgotten by the one who came to take, and still told: it is not warm.
    progress = await warm_ups.progress("ada", shelf.chain_id)
    assert progress is not None
    assert (progress.done, progress.failed, progress.finished) == (0, 3, True)


async def test_nothing_of_it_stays_for_ever(make: Make, shelf: Shelf, redis: Redis) -> None:
    warm_ups = make(part_seconds=60)
    await warm_ups.note_logins({"ada": addresses(3)}, [shelf.chain_id])
    await warm_ups.offer(shelf, "login", addresses(3))
    await warm_ups.take(shelf, "part")
    await warm_ups.offer(shelf, "login", addresses(6))
    keys = [key async for key in redis.scan_iter("bc:warm:*")]
    lives = [await redis.ttl(key) for key in keys]

    assert len(keys) >= 6
    assert -1 not in lives  # what Redis says of a key without a life


async def test_every_key_lives_as_long_as_it_is_needed(
    make: Make, shelf: Shelf, redis: Redis
) -> None:
    warm_ups = make(wish_seconds=100, part_seconds=50, pause_seconds=30)
    await warm_ups.offer(shelf, "login", addresses(3))
    part, _ = await warm_ups.take(shelf, "part")
    await warm_ups.settle(shelf, "part", done=(), given_up=part[:1], again=part[1:])
    await warm_ups.offer(shelf, "another", addresses(2, first=4))
    await warm_ups.take(shelf, "another part")
    names = shelf.keys("another part")
    await warm_ups.offer(shelf, "third", addresses(1, first=9))

    lives = [-(-await redis.pttl(name) // 1_000) for name in names]

    waiting, wished, taken, attempts, failed, tickets, calls, taken_part = lives
    assert waiting == taken == tickets == calls == pytest.approx(150, abs=5)
    assert wished == attempts == failed == pytest.approx(750, abs=5)
    assert taken_part == pytest.approx(200, abs=5)


async def test_what_failed_is_forgotten_in_the_end_with_its_failures(
    make: Make, shelf: Shelf, redis: Redis
) -> None:
    warm_ups = make()
    keys = shelf.keys("")
    await warm_ups.note_logins({"ada": addresses(1)}, [shelf.chain_id])
    await warm_ups.offer(shelf, "login", addresses(1))
    part, _ = await warm_ups.take(shelf, "part")
    await redis.hset(keys.attempts, part[0], "3")
    await warm_ups.settle(shelf, "part", done=(), given_up=part, again=())
    remembered = await warm_ups.units("ada", shelf.chain_id)
    await let_end(redis, keys.failed)
    afterwards = await warm_ups.units("ada", shelf.chain_id)
    await warm_ups.offer(shelf, "another", addresses(1, first=1))

    assert remembered == [WarmUpUnit(part[0], UnitState.FAILED, 3)]
    assert afterwards == [WarmUpUnit(part[0], UnitState.DONE, 3)]
    assert await redis.zcard(keys.failed) == await redis.hlen(keys.attempts) == 0


async def test_damaged_keys_of_warm_ups_are_worth_nothing(
    make: Make, shelf: Shelf, redis: Redis
) -> None:
    warm_ups = make()
    for name in shelf.keys("part"):
        await redis.set(name, "text")

    offered = await warm_ups.offer(shelf, "login", addresses(2))
    part, _ = await warm_ups.take(shelf, "part")

    assert offered.count == 1
    assert set(part) == set(addresses(2))


async def test_of_a_vault_that_is_done_nothing_is_left(
    make: Make, shelf: Shelf, redis: Redis
) -> None:
    """Else it would come back to be fetched again, or be told as failed when its wish is over."""
    warm_ups = make()
    later = replace(shelf, later=True)
    await warm_ups.offer(shelf, "login", addresses(1))
    await warm_ups.offer(later, "login", addresses(1))
    part, _ = await warm_ups.take(later, "later")
    await warm_ups.settle(later, "later", done=(), given_up=part, again=())
    await redis.hset(shelf.keys("").attempts, part[0], "2")
    part, _ = await warm_ups.take(shelf, "part")
    await warm_ups.settle(shelf, "part", done=part, given_up=(), again=())

    assert len(part) == 1
    for lane in (shelf, later):
        keys = lane.keys("part")
        gone = [name for name in keys if name != keys.tickets]
        assert await redis.exists(*gone) == 0
