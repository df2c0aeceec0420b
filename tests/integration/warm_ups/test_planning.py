"""Logins that come together share node requests and round trips; a vault waits once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from cache.commands import Command, Commands
from cache.warm_ups import Shelf, Tickets, WarmUpProgress, WarmUps
from config.settings import Settings
from domain.networks import Network
from domain.values import Address
from registry.seed import seed_user
from registry.store import Registry
from runtime.assembly import Runtime
from supervisor.valkey import EmbeddedServer
from tasks.warm_up import warm_user
from tests.warm_up_support import Make, addresses


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
        await warm_ups.note_logins({f"user-{number}": addresses(10, 10 * number)}, [shelf.chain_id])
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


async def test_a_login_that_is_delivered_again_announces_its_part_again(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make()
    first = await warm_ups.offer(shelf, "login", addresses(3))
    again = await warm_ups.offer(shelf, "login", addresses(3))

    assert (first.count, again.count) == (1, 1)


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


async def test_nobody_finds_a_login_finished_whose_vaults_do_not_wait_yet(
    cache_server: EmbeddedServer, redis: Redis, tmp_path: Path
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

    runtime.warm_ups = Watched(redis, 5)
    try:
        await inspect.unwrap(warm_user.run)(runtime, user.user_id, 0)
        seen.append(await runtime.warm_ups.progress(user.user_id, 0))
    finally:
        await runtime.close()

    assert seen == [None, WarmUpProgress(total=10, done=0, failed=0)]
