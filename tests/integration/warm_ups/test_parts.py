"""Parts that messages take: again when delivered again, and back when their process died."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from cache.warm_ups import Shelf, UnitState
from domain.values import Address
from tests.provider_support import until
from tests.warm_up_support import Make, addresses, let_end


async def test_a_message_that_is_delivered_again_gets_its_part_again(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make()
    await warm_ups.offer(shelf, "login", addresses(3))
    first, _ = await warm_ups.take(shelf, "part")
    again, _ = await warm_ups.take(shelf, "part")

    assert set(first) == set(again) == set(addresses(3))


async def test_a_part_whose_process_died_comes_back(make: Make, shelf: Shelf) -> None:
    warm_ups = make(1, part_seconds=0.2)  # its place among the requests comes back, too
    await warm_ups.offer(shelf, "login", addresses(3))
    await warm_ups.take(shelf, "dead")
    taken: list[Address] = []

    async def comes_back() -> bool:
        taken.extend((await warm_ups.take(shelf, "alive"))[0])
        return bool(taken)

    await until(comes_back)
    assert set(taken) == set(addresses(3))


async def test_a_ticket_that_was_lost_is_announced_again(
    make: Make, shelf: Shelf, redis: Redis
) -> None:
    warm_ups = make()
    tickets = shelf.keys("").tickets
    first = await warm_ups.offer(shelf, "one", addresses(1))
    meanwhile = await warm_ups.offer(shelf, "two", addresses(1, first=1))
    found: Any = await redis.zrange(tickets, 0, -1, withscores=True)
    [(_, expires)] = found
    await let_end(redis, tickets)
    again = await warm_ups.offer(shelf, "three", addresses(1, first=2))

    assert (first.count, meanwhile.count, again.count) == (1, 0, 1)
    seconds, _ = await redis.time()
    assert expires / 1_000 - int(seconds) == pytest.approx(20, abs=5)


async def test_what_comes_back_is_seen_to_wait(make: Make, shelf: Shelf, redis: Redis) -> None:
    warm_ups = make()
    await warm_ups.note_logins({"ada": addresses(1)}, [shelf.chain_id])
    await warm_ups.offer(shelf, "login", addresses(1))
    await warm_ups.take(shelf, "dead")
    await let_end(redis, shelf.keys("").taken)

    [unit] = await warm_ups.units("ada", shelf.chain_id) or ()
    assert unit.state is UnitState.WAITING
