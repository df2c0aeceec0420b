"""Vaults that wait for a warm-up are fetched together, once, and are never lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest

from cache.connection import connect
from cache.warm_ups import MOST_ATTEMPTS, Shelf, WarmUps
from domain.values import Address
from supervisor.valkey import EmbeddedServer
from tests.provider_support import until

Make = Callable[..., WarmUps]


def addresses(count: int, first: int = 0) -> list[Address]:
    return [f"0x{number:064x}" for number in range(first, first + count)]


@pytest.fixture
def shelf() -> Shelf:
    """A chain of its own for each test."""
    return Shelf(uuid4().int % 2**63, later=False, request_size=200)


@pytest.fixture
async def make(cache_server: EmbeddedServer) -> AsyncIterator[Make]:
    client = connect(cache_server.url(4))
    yield lambda concurrency=5, **lives: WarmUps(client, concurrency, **lives)
    await client.aclose()


async def test_logins_that_come_together_need_as_many_requests_as_their_vaults_fill(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make()
    tickets = [
        (await warm_ups.offer(shelf, f"login-{n}", addresses(10, 10 * n))).count for n in range(50)
    ]
    parts = [(await warm_ups.take(shelf, f"part-{n}"))[0] for n in range(3)]

    assert sum(tickets) == 3
    assert [len(part) for part in parts] == [200, 200, 100]
    assert {a for part in parts for a in part} == set(addresses(500))


async def test_a_vault_of_many_users_waits_once_and_not_again_while_it_is_fetched(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make()
    await warm_ups.offer(shelf, "one", addresses(1))
    await warm_ups.offer(shelf, "two", addresses(1))
    part, _ = await warm_ups.take(shelf, "part")
    later = await warm_ups.offer(shelf, "three", addresses(1))
    other, _ = await warm_ups.take(shelf, "another")

    assert (len(part), later.count, other) == (1, 0, ())


async def test_a_message_that_is_delivered_again_gets_its_part_again(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make()
    await warm_ups.offer(shelf, "login", addresses(3))
    first, _ = await warm_ups.take(shelf, "part")
    again, _ = await warm_ups.take(shelf, "part")

    assert set(first) == set(again) == set(addresses(3))


async def test_a_login_that_is_delivered_again_announces_its_part_again(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make()
    first = await warm_ups.offer(shelf, "login", addresses(3))
    again = await warm_ups.offer(shelf, "login", addresses(3))

    assert (first.count, again.count) == (1, 1)


async def test_a_part_whose_process_died_comes_back(make: Make, shelf: Shelf) -> None:
    warm_ups = make(part_seconds=0.2)
    await warm_ups.offer(shelf, "login", addresses(3))
    await warm_ups.take(shelf, "dead")
    taken: list[Address] = []

    async def comes_back() -> bool:
        taken.extend((await warm_ups.take(shelf, "alive"))[0])
        return bool(taken)

    await until(comes_back)
    assert set(taken) == set(addresses(3))


async def test_what_nobody_waits_for_any_more_is_dropped(make: Make, shelf: Shelf) -> None:
    warm_ups = make(wish_seconds=0.1)
    await warm_ups.note_plan("ada", shelf.chain_id, addresses(3))
    await warm_ups.offer(shelf, "login", addresses(3))
    seen: list[int] = []

    async def expired() -> bool:
        progress = await warm_ups.progress("ada", shelf.chain_id)
        seen.append(0 if progress is None else progress.done)
        return seen[-1] == 3

    await until(expired)
    part, tickets = await warm_ups.take(shelf, "part")
    assert (part, tickets.count) == ((), 0)


async def test_no_more_requests_are_under_way_than_are_allowed_and_the_rest_follows(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make(2)
    offered = await warm_ups.offer(shelf, "logins", addresses(1000))
    parts = [await warm_ups.take(shelf, f"part-{n}") for n in range(3)]
    settled = await warm_ups.settle(shelf, "part-0", done=parts[0][0], given_up=(), again=())
    following, _ = await warm_ups.take(shelf, "part-3")

    assert offered.count == 2
    assert [len(part) for part, _ in parts] == [200, 200, 0]
    # Who finds no place comes back by himself: nobody else need live for the rest to go on.
    assert (parts[2][1].count, parts[2][1].delay_seconds) == (1, 0.5)
    assert settled.count == 0
    assert len(following) == 200


async def test_each_vault_has_its_own_outcome_and_progress_tells(make: Make, shelf: Shelf) -> None:
    warm_ups = make(pause_seconds=30)
    done, refused, again, untouched = addresses(4)
    await warm_ups.note_plan("ada", shelf.chain_id, [done, refused, again, untouched])
    await warm_ups.offer(shelf, "login", [done, refused, again])
    before = await warm_ups.progress("ada", shelf.chain_id)
    await warm_ups.take(shelf, "part")
    tickets = await warm_ups.settle(shelf, "part", done=[done], given_up=[refused], again=[again])
    after = await warm_ups.progress("ada", shelf.chain_id)

    assert before is not None
    assert (before.total, before.done, before.failed) == (4, 1, 0)
    assert after is not None
    assert (after.total, after.done, after.failed, after.finished) == (4, 2, 1, False)
    assert tickets.count == 1
    assert tickets.delay_seconds == pytest.approx(15, abs=1)
    assert await warm_ups.progress("nobody", shelf.chain_id) is None


async def test_a_vault_that_keeps_failing_is_given_up(make: Make, shelf: Shelf) -> None:
    warm_ups = make(pause_seconds=0.001)
    await warm_ups.note_plan("ada", shelf.chain_id, addresses(1))
    await warm_ups.offer(shelf, "login", addresses(1))
    tries = 0

    async def given_up() -> bool:
        nonlocal tries
        part, _ = await warm_ups.take(shelf, "part")
        if part:
            tries += 1
            await warm_ups.settle(shelf, "part", done=(), given_up=(), again=part)
        progress = await warm_ups.progress("ada", shelf.chain_id)
        return progress is not None and progress.failed == 1

    await until(given_up)
    assert tries == MOST_ATTEMPTS


async def test_nothing_of_it_stays_for_ever(
    make: Make, shelf: Shelf, cache_server: EmbeddedServer
) -> None:
    warm_ups = make(part_seconds=60)
    await warm_ups.note_plan("ada", shelf.chain_id, addresses(3))
    await warm_ups.offer(shelf, "login", addresses(3))
    await warm_ups.take(shelf, "part")
    await warm_ups.offer(shelf, "login", addresses(6))
    client = connect(cache_server.url(4))
    keys = [key async for key in client.scan_iter("bc:warm:*")]
    lives = [await client.ttl(key) for key in keys]
    await client.aclose()

    assert len(keys) >= 6
    assert -1 not in lives  # what Redis says of a key without a life
