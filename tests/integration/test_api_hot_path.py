"""Answers that are sent again: the same bytes, one command, and never after anything changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from supervisor.valkey import EmbeddedServer
from tests.api_support import CHAIN_ID, ETH, KEY, World, open_world, own_to_none, started
from tests.databases import BakoUser, bytes32
from tests.metrics_support import Scrape
from tests.provider_support import until

PATH = "/user/dashboard"


@pytest.fixture(scope="module")
def node() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=CHAIN_ID)) as server:
        yield server


@pytest.fixture(params=[False, True], ids=["asks Redis", "local copy"])
async def world(
    request: pytest.FixtureRequest,
    cache_server: EmbeddedServer,
    node: DevnetServer,
    tmp_path: Path,
) -> AsyncIterator[World]:
    database_url = f"sqlite:///{tmp_path}/bako.sqlite3"
    async with open_world(
        cache_server.url(),
        database_url,
        node,
        registry_cache_seconds=60.0,
        local_copy=request.param,
    ) as world:
        yield world


class Page:
    """A user's page in one process, and what it costs."""

    def __init__(
        self, world: World, client: httpx.AsyncClient, user: BakoUser, headers: dict[str, str]
    ) -> None:
        self.world = world
        self.client = client
        self.user = user
        self.headers = headers

    async def get(self, **more: str) -> httpx.Response:
        return await self.client.get(PATH, headers=self.headers | more)

    async def amounts(self) -> list[str]:
        answer = await self.get()
        assert answer.status_code == 200
        return [v["totalBalance"][0]["amount"] for v in answer.json()["vaults"]]

    async def commands(self) -> dict[str, int]:
        """Return which commands one page costs; pings and our own questions left out."""
        before = await self._counted()
        assert (await self.get()).status_code == 200
        after = await self._counted()
        cost = {name: calls - before.get(name, 0) for name, calls in after.items()}
        return {n: c for n, c in cost.items() if c and n not in QUIET}

    async def _counted(self) -> dict[str, int]:
        told = await self.world.redis.info("commandstats")
        return {name.removeprefix("cmdstat_"): row["calls"] for name, row in told.items()}

    async def made(self) -> float:
        """Return how many pages the route has put together, or found to be unchanged."""
        told = Scrape((await self.client.get("/metrics")).text)
        return told.value("api_request_seconds_count", route=PATH)

    async def is_hot(self) -> bool:
        return await self.commands() in ({}, {"mget": 1, "getrange": 1})


QUIET = {
    "info",
    "hgetall",
    "get",
    "pexpiretime",
    "ping",
    "time",
    "zadd",
    "zincrby",
    "hincrby",
    "expire",
    "pexpire",
    "evalsha",
}
"""What goes on beside reads: beats, counts, marks of the hot set, the prices of each second."""


@pytest.fixture
async def address() -> str:
    return bytes32()


@pytest.fixture
async def page(world: World, address: str) -> AsyncIterator[Page]:
    user = await world.database.add_user()
    await world.database.add_predicate(user, predicate_address=address)
    world.give(address, {ETH: 10})
    await world.quote({ETH: "2"}, {ETH: 0})
    headers = await world.sign_in(user)
    async with started(world.settings, world.publisher) as client:
        page = Page(world, client, user, headers)
        await until(page.is_hot, seconds=20)
        yield page


async def test_an_answer_that_holds_is_sent_again_byte_for_byte_for_one_command_at_most(
    world: World, page: Page
) -> None:
    async with started(world.settings, world.publisher) as other:
        routed = await other.get(PATH, headers=page.headers)

    again = await page.get()
    unchanged = await page.get(**{"If-None-Match": again.headers["etag"]})
    listed = await page.get(**{"If-None-Match": f'"x", W/{again.headers["etag"]}'})

    assert again.content == routed.content
    ours, theirs = own_to_none(again), own_to_none(routed)
    del ours["age"], theirs["age"]
    assert ours == theirs
    assert int(again.headers["age"]) < 60
    for answer in (unchanged, listed):
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == again.headers["etag"]
    assert await page.is_hot()


async def test_nothing_old_is_sent_after_whatever_changes(
    world: World, page: Page, address: str
) -> None:
    async def invalidated() -> None:
        world.give(address, {ETH: 11})
        await page.client.post(
            "/internal/cache/invalidate",
            json={"predicateAddress": address},
            headers={"X-API-Key": KEY},
        )

    await invalidated()
    assert await page.amounts() == ["0xb"]  # at once: this process itself was told

    async def flagged_by_bako() -> None:
        world.give(address, {ETH: 12})
        await world.redis.set(f"balance:invalidated:{address}", "1", ex=3600)

    async def deleted_by_bako() -> None:
        world.give(address, {ETH: 13})
        await world.redis.delete(f"balance:{address}:{CHAIN_ID}")

    async def another_history() -> None:
        world.give(address, {ETH: 14})
        await world.redis.set("bc:epoch", "another")

    async def another_vault() -> None:
        other = bytes32()
        world.give(other, {ETH: 15})
        await world.database.add_predicate(page.user, predicate_address=other)
        await world.internal("/registry/changed")

    changes: list[tuple[Callable[[], Awaitable[None]], set[str]]] = [
        (flagged_by_bako, {"0xc"}),
        (deleted_by_bako, {"0xd"}),
        (another_history, {"0xe"}),
        (another_vault, {"0xe", "0xf"}),
    ]
    for change, expected in changes:
        await until(page.is_hot, seconds=20)
        await change()
        if world.settings.local_copy:  # told by Redis, a moment later
            await until(partial(_shows, page, expected))
        assert set(await page.amounts()) == expected, change.__name__


async def _shows(page: Page, expected: set[str]) -> bool:
    return set(await page.amounts()) == expected


@pytest.mark.parametrize("change", ["prices", "registry", "session"])
async def test_what_is_over_is_not_made_anew_by_each_who_asks(
    world: World, page: Page, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.hot_answers._RENEWAL_SECONDS", 30.0)  # however slow this machine is
    before = await page.made()

    if change == "prices":
        await world.quote({ETH: "3"}, {ETH: 0})
    elif change == "registry":
        await world.internal("/registry/changed")
    else:
        await world.sign_in(page.user, extended=True)

    async def is_made_anew() -> bool:  # what is told by Redis, or by the prices, is told later
        answers = await asyncio.gather(*(page.get() for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
        return await page.made() > before

    await until(is_made_anew)
    # Once; on a slow machine what was made can be over by itself while some of the fifty still ask.
    assert await page.made() - before <= 2


async def test_a_session_that_ends_or_changes_ends_the_hot_path_too(
    world: World, page: Page
) -> None:
    async def status() -> int:
        return (await page.get()).status_code

    other = await world.database.add_user()
    stolen = await page.client.get(PATH, headers=page.headers | {"signeraddress": other.address})
    assert stolen.status_code == 401
    twice = [("Authorization", page.user.token), ("Authorization", "x")]
    doubled = await page.client.get(PATH, headers=[*twice, ("signeraddress", page.user.address)])
    assert doubled.status_code == 401

    await world.redis.delete(f"session-{page.user.token}")
    if world.settings.local_copy:
        await until(lambda: _is(status, 401))
    assert await status() == 401


async def _is(status: Callable[[], Awaitable[int]], expected: int) -> bool:
    return await status() == expected


async def test_a_session_of_another_network_is_seen(world: World, page: Page) -> None:
    raw = await world.redis.get(f"session-{page.user.token}")
    changed: dict[str, Any] = json.loads(raw or b"")
    changed["network"]["chainId"] = 7
    await world.redis.set(f"session-{page.user.token}", json.dumps(changed))

    async def is_unknown() -> bool:
        return (await page.get()).status_code == 422

    if world.settings.local_copy:
        await until(is_unknown)
    assert await is_unknown()


async def test_a_redis_that_hangs_up_is_noticed_and_the_hot_path_comes_back(
    world: World, page: Page
) -> None:
    await world.redis.client_kill_filter(_type="normal", skipme=True)

    answers = await asyncio.gather(*(page.get() for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    await until(page.is_hot, seconds=20)


async def test_new_prices_are_shown(world: World, page: Page) -> None:
    before = (await page.get()).json()["totals"]["totalBalanceUSD"]
    await world.quote({ETH: "3"}, {ETH: 0})

    async def is_shown() -> bool:
        return bool((await page.get()).json()["totals"]["totalBalanceUSD"] == "30.00")

    await until(is_shown)
    assert before == "20.00"


async def test_what_is_sent_again_keeps_its_vaults_hot(
    world: World, page: Page, address: str
) -> None:
    await world.redis.delete(f"bc:hot:{CHAIN_ID}")
    assert await page.is_hot()

    async def is_in_the_hot_set() -> bool:
        return await world.redis.zscore(f"bc:hot:{CHAIN_ID}", address) is not None

    await until(is_in_the_hot_set)
