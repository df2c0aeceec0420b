"""Vaults that wait for a warm-up are fetched together, once, and are never lost."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from rich.console import Console

from cache.commands import Command, Commands
from cache.connection import connect
from cache.warm_ups import (
    MOST_ATTEMPTS,
    Shelf,
    Tickets,
    UnitState,
    WarmUpProgress,
    WarmUps,
    WarmUpUnit,
)
from cli.warm_up import as_json, print_units, units_of
from config.settings import Settings
from domain.networks import Network
from domain.values import Address
from registry.seed import seed_user
from registry.store import Registry
from runtime.assembly import Runtime
from supervisor.valkey import EmbeddedServer
from tasks.warm_up import warm_user
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


async def test_logins_that_are_planned_at_one_time_share_round_trips_and_each_has_its_tickets(
    make: Make, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[int] = []
    send = Commands.batch

    async def counted(commands: Commands, some: Sequence[Command]) -> list[Any]:
        trips.append(len(some))
        return await send(commands, some)

    monkeypatch.setattr(Commands, "batch", counted)
    warm_ups = make()

    async def login(number: int) -> int:
        tickets = await warm_ups.offer(shelf, f"login-{number}", addresses(10, 10 * number))
        await warm_ups.note_login(f"user-{number}", {shelf.chain_id: addresses(10, 10 * number)})
        return tickets.count

    first = await login(0)  # the server knows the script from here on
    trips.clear()
    counts = await asyncio.gather(*map(login, range(1, 50)))

    assert first + sum(counts) == 3
    assert len(trips) <= 8, "not one or two for each login"
    for number in range(50):
        progress = await warm_ups.progress(f"user-{number}", shelf.chain_id)
        assert progress == WarmUpProgress(10, 0, 0)


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
    warm_ups = make(1, part_seconds=0.2)  # its place among the requests comes back, too
    await warm_ups.offer(shelf, "login", addresses(3))
    await warm_ups.take(shelf, "dead")
    taken: list[Address] = []

    async def comes_back() -> bool:
        taken.extend((await warm_ups.take(shelf, "alive"))[0])
        return bool(taken)

    await until(comes_back)
    assert set(taken) == set(addresses(3))


async def test_a_whole_request_may_be_taken_behind_and_no_part_of_one(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make(concurrency=2)
    told = [await warm_ups.offer(shelf, f"login-{n}", addresses(70, 70 * n)) for n in range(3)]
    _, part = await warm_ups.take_full(shelf)
    _, rest = await warm_ups.take_full(shelf)
    message, _ = await warm_ups.take(shelf, "message")
    busy = await warm_ups.offer(shelf, "login-4", addresses(300, 1000))
    _, too_many = await warm_ups.take_full(shelf)

    assert [tickets.full for tickets in told] == [False, False, True]
    assert (len(part), rest, len(message)) == (200, (), 10)
    assert (busy.full, too_many) == (False, ())


async def test_a_part_that_was_taken_behind_comes_back_when_its_process_died(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make(part_seconds=0.4)
    (out,) = [await warm_ups.offer(shelf, "login", addresses(200))]
    await warm_ups.take_full(shelf)  # and its process is killed
    messages, taken = [out], list[Address]()

    async def comes_back() -> bool:
        # As the lane does: one message for each ticket, and none without.
        for at in range(messages.pop().count):
            part, tickets = await warm_ups.take(shelf, uuid4().hex + str(at))
            taken.extend(part)
            messages.append(tickets)
        return bool(taken)

    await until(comes_back)
    assert set(taken) == set(addresses(200))


async def test_what_was_fetched_behind_leaves_the_rest_to_the_message_that_is_out(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make()
    out = await warm_ups.offer(shelf, "login", addresses(350))
    token, part = await warm_ups.take_full(shelf)
    settled = await warm_ups.settle(shelf, token, done=part[1:], given_up=(), again=part[:1])
    rest, _ = await warm_ups.take(shelf, "message")

    assert (out.count, settled) == (2, Tickets())
    assert len(rest) == 150


async def test_when_what_was_taken_behind_is_done_no_ticket_is_left(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make()
    await warm_ups.offer(shelf, "login", addresses(200))
    token, part = await warm_ups.take_full(shelf)
    _, while_it_goes_on = await warm_ups.take(shelf, "message")
    settled = await warm_ups.settle(shelf, token, done=part, given_up=(), again=())
    _, afterwards = await warm_ups.take(shelf, "the next message")

    assert while_it_goes_on == Tickets(1, 0.5)
    assert settled == afterwards == Tickets()


async def test_what_nobody_waits_for_any_more_is_dropped(make: Make, shelf: Shelf) -> None:
    warm_ups = make(wish_seconds=0.1)
    await warm_ups.note_login("ada", {shelf.chain_id: addresses(3)})
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
    await warm_ups.note_login("ada", {shelf.chain_id: [done, refused, again, untouched]})
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
    await warm_ups.note_login("ada", {shelf.chain_id: addresses(1)})
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


async def test_operators_see_each_vault_with_its_state_and_its_failures(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make(pause_seconds=30)
    done, refused, again, fetching = addresses(4)
    await warm_ups.note_login("ada", {shelf.chain_id: addresses(4)})
    await warm_ups.offer(shelf, "login", [done, refused, again])
    await warm_ups.take(shelf, "part")
    await warm_ups.settle(shelf, "part", done=[done], given_up=[refused], again=[again])
    await warm_ups.offer(shelf, "another", [fetching])
    await warm_ups.take(shelf, "another part")

    assert await warm_ups.units("ada", shelf.chain_id) == [
        WarmUpUnit(done, UnitState.DONE, 0),
        WarmUpUnit(refused, UnitState.FAILED, 0),
        WarmUpUnit(again, UnitState.WAITING, 1),
        WarmUpUnit(fetching, UnitState.FETCHING, 0),
    ]
    assert await warm_ups.units("nobody", shelf.chain_id) is None


async def test_the_command_line_shows_each_vault_of_a_login(cache_server: EmbeddedServer) -> None:
    network = Network(uuid4().int % 2**63, "mainnet", ("http://127.0.0.1:1/v1/graphql",))
    settings = Settings.model_validate(
        {"REDIS_URL": cache_server.url(4), "fuel_networks": (network,)}
    )
    shown = StringIO()
    client, console = connect(settings.redis_url), Console(file=shown, width=120)
    warm_ups = WarmUps(client, 5, pause_seconds=30)
    vaults, shelf = addresses(2), Shelf(network.chain_id, later=False, request_size=200)
    await warm_ups.note_login("ada", {network.chain_id: vaults})
    await warm_ups.offer(shelf, "login", vaults)
    await warm_ups.take(shelf, "part")
    await warm_ups.settle(shelf, "part", done=vaults[:1], given_up=(), again=vaults[1:])
    await client.aclose()
    units = await units_of(settings, "ada")
    print_units(console, units)
    print_units(console, await units_of(settings, "nobody"))

    told = [" ".join(line.replace("│", " ").split()) for line in shown.getvalue().split("\n")]
    assert f"mainnet {vaults[0]} done 0" in told
    assert f"mainnet {vaults[1]} waiting 1" in told
    assert "no warm-up of the last ten minutes" in told
    assert [(unit["predicate"], unit["state"], unit["failures"]) for unit in as_json(units)] == [
        (vaults[0], "done", 0),
        (vaults[1], "waiting", 1),
    ]


async def test_a_vault_that_failed_in_one_lane_and_was_fetched_in_the_other_is_done(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make()
    later = replace(shelf, later=True)
    await warm_ups.note_login("ada", {shelf.chain_id: addresses(1)})
    for lane, outcome in ((later, "given_up"), (shelf, "done")):
        await warm_ups.offer(lane, "login", addresses(1))
        part, _ = await warm_ups.take(lane, "part")
        outcomes: dict[str, Sequence[Address]] = {"done": (), "given_up": (), "again": ()}
        await warm_ups.settle(lane, "part", **{**outcomes, outcome: part})

    progress = await warm_ups.progress("ada", shelf.chain_id)
    assert progress is not None
    assert (progress.done, progress.failed) == (1, 0)


async def test_a_vault_that_was_given_up_has_all_its_tries_again_at_the_next_login(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make(pause_seconds=30)
    await warm_ups.note_login("ada", {shelf.chain_id: addresses(1)})
    await warm_ups.offer(shelf, "login", addresses(1))
    part, _ = await warm_ups.take(shelf, "part")
    await warm_ups.settle(shelf, "part", done=(), given_up=(), again=part)
    await warm_ups.take(shelf, "part")
    await warm_ups.settle(shelf, "part", done=(), given_up=part, again=())
    await warm_ups.offer(shelf, "next login", addresses(1))

    [unit] = await warm_ups.units("ada", shelf.chain_id) or ()
    assert (unit.state, unit.failures) == (UnitState.WAITING, 0)


async def test_nobody_finds_a_login_finished_whose_vaults_do_not_wait_yet(
    cache_server: EmbeddedServer, tmp_path: Path
) -> None:
    network = Network(0, "testnet", ("http://127.0.0.1:1/v1/graphql",))
    settings = Settings.model_validate(
        {
            "REDIS_URL": cache_server.url(4),
            "database_url": f"sqlite:///{tmp_path / 'registry.sqlite3'}",
            "fuel_networks": (network,),
        }
    )
    registry = Registry.open(settings.database_url)
    await registry.create_schema()
    await registry.close()
    user = await seed_user(settings.database_url, network, seed=77)
    runtime = await Runtime.open(settings)
    seen: list[WarmUpProgress | None] = []

    class Watched(WarmUps):
        async def offer(self, shelf: Shelf, token: str, vaults: Sequence[Address]) -> Tickets:
            seen.append(await self.progress(user.user_id, 0))
            return await super().offer(shelf, token, vaults)

    client = connect(settings.redis_url)
    runtime.warm_ups = Watched(client, 5)
    await inspect.unwrap(warm_user.run)(runtime, user.user_id, 0)
    seen.append(await runtime.warm_ups.progress(user.user_id, 0))
    await runtime.close()
    await client.aclose()

    assert seen == [None, WarmUpProgress(total=10, done=0, failed=0)]


async def test_nothing_of_it_stays_for_ever(
    make: Make, shelf: Shelf, cache_server: EmbeddedServer
) -> None:
    warm_ups = make(part_seconds=60)
    await warm_ups.note_login("ada", {shelf.chain_id: addresses(3)})
    await warm_ups.offer(shelf, "login", addresses(3))
    await warm_ups.take(shelf, "part")
    await warm_ups.offer(shelf, "login", addresses(6))
    client = connect(cache_server.url(4))
    keys = [key async for key in client.scan_iter("bc:warm:*")]
    lives = [await client.ttl(key) for key in keys]
    await client.aclose()

    assert len(keys) >= 6
    assert -1 not in lives  # what Redis says of a key without a life


@pytest.fixture
async def redis(cache_server: EmbeddedServer) -> AsyncIterator[Redis]:
    client = connect(cache_server.url(4))
    yield client
    await client.aclose()


async def let_end(redis: Redis, key: str) -> None:
    """Let the times of all in a sorted set be over."""
    names: Any = await redis.zrange(key, 0, -1)
    assert names
    await redis.zadd(key, dict.fromkeys(names, 1))


async def test_each_failure_doubles_the_pause_up_to_a_bound(make: Make, shelf: Shelf) -> None:
    warm_ups = make(pause_seconds=0.02)
    await warm_ups.offer(shelf, "login", addresses(1))
    pauses: list[float] = []

    async def failed_again() -> bool:
        part, _ = await warm_ups.take(shelf, f"part-{len(pauses)}")
        if part:
            token = f"part-{len(pauses)}"
            told = await warm_ups.settle(shelf, token, done=(), given_up=(), again=part)
            pauses.append(told.delay_seconds)
        return len(pauses) == 3

    await until(failed_again)
    assert pauses == [0.02, 0.04, 0.08]


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


async def test_a_ticket_that_was_lost_is_announced_again(
    make: Make, shelf: Shelf, redis: Redis
) -> None:
    warm_ups = make()
    tickets = shelf.keys("")[5]
    first = await warm_ups.offer(shelf, "one", addresses(1))
    meanwhile = await warm_ups.offer(shelf, "two", addresses(1, first=1))
    found: Any = await redis.zrange(tickets, 0, -1, withscores=True)
    [(_, expires)] = found
    await let_end(redis, tickets)
    again = await warm_ups.offer(shelf, "three", addresses(1, first=2))

    assert (first.count, meanwhile.count, again.count) == (1, 0, 1)
    seconds, _ = await redis.time()
    assert expires / 1_000 - int(seconds) == pytest.approx(20, abs=5)


async def test_what_failed_is_forgotten_in_the_end_with_its_failures(
    make: Make, shelf: Shelf, redis: Redis
) -> None:
    warm_ups = make()
    _, _, _, attempts, failed, *_ = shelf.keys("")
    await warm_ups.note_login("ada", {shelf.chain_id: addresses(1)})
    await warm_ups.offer(shelf, "login", addresses(1))
    part, _ = await warm_ups.take(shelf, "part")
    await redis.hset(attempts, part[0], "3")
    await warm_ups.settle(shelf, "part", done=(), given_up=part, again=())
    remembered = await warm_ups.units("ada", shelf.chain_id)
    await let_end(redis, failed)
    afterwards = await warm_ups.units("ada", shelf.chain_id)
    await warm_ups.offer(shelf, "another", addresses(1, first=1))

    assert remembered == [WarmUpUnit(part[0], UnitState.FAILED, 3)]
    assert afterwards == [WarmUpUnit(part[0], UnitState.DONE, 3)]
    assert await redis.zcard(failed) == await redis.hlen(attempts) == 0


async def test_what_comes_back_is_seen_to_wait(make: Make, shelf: Shelf, redis: Redis) -> None:
    warm_ups = make()
    await warm_ups.note_login("ada", {shelf.chain_id: addresses(1)})
    await warm_ups.offer(shelf, "login", addresses(1))
    await warm_ups.take(shelf, "dead")
    await let_end(redis, shelf.keys("")[2])

    [unit] = await warm_ups.units("ada", shelf.chain_id) or ()
    assert unit.state is UnitState.WAITING


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
    await redis.hset(shelf.keys("")[3], part[0], "2")
    part, _ = await warm_ups.take(shelf, "part")
    await warm_ups.settle(shelf, "part", done=part, given_up=(), again=())

    assert len(part) == 1
    for lane in (shelf, later):
        *kept, tickets, calls, own_part = lane.keys("part")
        assert await redis.exists(*kept, calls, own_part) == 0, tickets


async def test_what_one_lane_fetches_behind_keeps_no_message_of_the_other_looking(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make()
    later = replace(shelf, later=True)
    await warm_ups.offer(later, "login", addresses(200))
    _, behind = await warm_ups.take_full(later)
    _, tickets = await warm_ups.take(shelf, "message")

    assert len(behind) == 200
    assert tickets == Tickets()


async def test_another_login_does_not_end_the_pause_of_a_vault_that_failed(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make(pause_seconds=30)
    await warm_ups.offer(shelf, "login", addresses(1))
    part, _ = await warm_ups.take(shelf, "part")
    await warm_ups.settle(shelf, "part", done=(), given_up=(), again=part)
    await warm_ups.offer(shelf, "another", addresses(1))
    early, _ = await warm_ups.take(shelf, "another part")

    assert (len(part), early) == (1, ())
