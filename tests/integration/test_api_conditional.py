"""Validators and conditions: 304 for what is unchanged, 202 or 412 for what is not there yet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.conditional import is_named
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.networks import Network
from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer
from tests.api_support import CHAIN_ID, ETH, USDC, World, open_world, seconds_since, started
from tests.databases import bytes32, coin
from tests.provider_support import until

PATHS = [
    f"{prefix}{path}"
    for prefix in ("", "/api")
    for path in (
        "/predicate/reserved-coins/{}",
        "/predicate/{}/reserved-coins",
        "/predicate/{}/allocation",
        "/user/allocation",
        "/user/dashboard",
    )
]


@pytest.fixture(scope="module")
def node() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=CHAIN_ID)) as server:
        yield server


@pytest.fixture
async def world(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path
) -> AsyncIterator[World]:
    database_url = f"sqlite:///{tmp_path}/bako.sqlite3"
    async with open_world(
        cache_server.url(), database_url, node, registry_cache_seconds=0.0
    ) as world:
        yield world


class Reader:
    """A user with one vault, and what his browser keeps."""

    def __init__(self, world: World, predicate_id: str, headers: Mapping[str, str]) -> None:
        self.world = world
        self.predicate_id = predicate_id
        self.headers = headers

    async def get(
        self, path: str, tag: str | None = None, client: httpx.AsyncClient | None = None
    ) -> httpx.Response:
        condition = {} if tag is None else {"If-None-Match": tag}
        return await (client or self.world.client).get(
            path.format(self.predicate_id), headers={**self.headers, **condition}
        )


@pytest.fixture
async def address() -> str:
    return bytes32()


@pytest.fixture
async def reader(world: World, address: str) -> Reader:
    user = await world.database.add_user()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    world.give(address, {ETH: 10})
    await world.quote({ETH: "2", USDC: "1"}, {ETH: 0, USDC: 0})
    reader = Reader(world, predicate_id, await world.sign_in(user))
    assert (await reader.get("/user/dashboard")).status_code == 200
    return reader


async def test_what_is_unchanged_is_not_sent_again_on_any_path_by_any_process(
    world: World, reader: Reader
) -> None:
    async with started(world.settings, world.publisher) as other:
        for path in PATHS:
            first = await reader.get(path)
            again = await reader.get(path)
            tag = first.headers["etag"]
            unchanged = [
                await reader.get(path, tag),
                await reader.get(path, f'"other", W/{tag}'),
                await reader.get(path, "*"),
                await reader.get(path, tag, other),
            ]
            changed = await reader.get(path, '"other"')

            assert (first.status_code, first.content) == (200, again.content), path
            assert tag == again.headers["etag"] == changed.headers["etag"]
            assert changed.content == first.content
            for answer in unchanged:
                assert (answer.status_code, answer.content) == (304, b""), path
                for name in ("etag", "cache-control", "vary", "last-modified"):
                    assert answer.headers[name] == first.headers[name], name
                assert "content-type" not in answer.headers


async def test_the_headers_say_who_may_keep_an_answer_and_how_old_it_is(
    world: World, reader: Reader
) -> None:
    answer = await reader.get("/predicate/{}/reserved-coins")

    assert answer.headers["cache-control"] == "private, no-cache"
    varies = set(answer.headers["vary"].split(", "))
    assert varies >= {"Authorization", "signeraddress", "X-API-Key"}
    assert 0 <= int(answer.headers["age"]) < 60
    modified = parsedate_to_datetime(answer.headers["last-modified"])
    assert abs(seconds_since(answer.json()["freshness"]["asOf"])) < 60
    assert seconds_since(modified.isoformat()) < 60
    # A date says nothing about the registry, so that it is no condition.
    dated = await world.client.get(
        f"/predicate/{reader.predicate_id}/reserved-coins",
        headers={**reader.headers, "If-Modified-Since": answer.headers["last-modified"]},
    )
    assert dated.status_code == 200


async def test_whatever_changes_an_answer_changes_its_tag(
    world: World, reader: Reader, address: str
) -> None:
    async def balance() -> None:
        world.give(address, {ETH: 11})
        await world.internal("/cache/invalidate", {"predicateAddress": address})

    async def price() -> None:
        await world.quote({ETH: "3"}, {ETH: 0})

    async def units() -> None:
        await world.quote({ETH: "3"}, {ETH: 1})

    async def reservation() -> None:
        await world.database.add_transaction(
            reader.predicate_id, [coin(ETH, 1)], network_url=world.network_url
        )

    changes: list[Callable[[], Any]] = [balance, price, units, reservation]
    seen: dict[str, bytes] = {}
    for path in ("/predicate/{}/reserved-coins", "/user/dashboard", "/user/allocation"):
        for change in changes:
            before = await reader.get(path)
            await change()

            async def differs(path: str = path, before: httpx.Response = before) -> bool:
                answer = await reader.get(path, before.headers["etag"])
                return answer.status_code == 200 and answer.content != before.content

            await until(differs)  # prices are remembered for a second
            if change is reservation:
                continue
            after = await reader.get(path)
            assert after.headers["etag"] != before.headers["etag"]
            assert seen.setdefault(after.headers["etag"], after.content) == after.content


async def test_what_is_only_the_last_known_has_a_tag_of_its_own(
    world: World, reader: Reader, address: str
) -> None:
    path = "/predicate/{}/reserved-coins"
    fresh = await reader.get(path)
    await world.internal("/cache/invalidate", {"predicateAddress": address})
    nowhere = Network(CHAIN_ID, "mainnet", (f"http://127.0.0.1:{free_port()}/v1/graphql",))
    down = world.settings.model_copy(update={"fuel_networks": (nowhere,), "read_wait_seconds": 0.2})

    async with started(down, world.publisher) as client:
        stale = await reader.get(path, fresh.headers["etag"], client)
        again = await reader.get(path, stale.headers["etag"], client)

    assert (stale.status_code, stale.json()["freshness"]["state"]) == (200, "stale")
    assert again.status_code == 304


async def test_a_problem_is_never_a_304(world: World, reader: Reader) -> None:
    tag = (await reader.get("/user/dashboard")).headers["etag"]
    nobody = {"Authorization": "0x1", "signeraddress": "0x2", "If-None-Match": tag}

    assert (await world.client.get("/user/dashboard", headers=nobody)).status_code == 401
    assert (await reader.get("/user/dashboard?wait=-1", tag)).status_code == 422


async def test_a_caller_who_knows_a_height_reads_his_own_write_on_every_path(
    world: World, reader: Reader, address: str
) -> None:
    for path in PATHS:
        world.node.chain.produce_blocks(1)
        height = world.node.chain.height

        answer = await reader.get(f"{path}?min_height={height}")

        body = answer.json()
        vaults = body.get("vaults") or body.get("predicates") or [body]
        assert answer.status_code == 200, path
        assert all(v["freshness"]["blockHeight"] >= height for v in vaults), path
        assert all(v["freshness"]["unmet"] is None for v in vaults), path


async def test_a_height_that_the_chain_has_not_is_412_with_what_there_is(
    world: World, reader: Reader
) -> None:
    impatient = world.settings.model_copy(update={"node_timeout_seconds": 0.3})
    async with started(impatient, world.publisher) as client:
        for path in PATHS:
            known = await reader.get(path)
            height = "min_height=4000000000"
            answer = await reader.get(f"{path}?{height}", known.headers["etag"], client)

            body = answer.json()
            vaults = body.get("vaults") or body.get("predicates") or [body]
            assert answer.status_code == 412, path
            assert {v["freshness"]["unmet"] for v in vaults} == {"refused"}, path
            assert {v["freshness"]["state"] for v in vaults} == {"fresh"}, path
            assert answer.headers["cache-control"] == "no-store"
            assert "etag" not in answer.headers
            assert int(answer.headers["retry-after"]) > 0


async def test_who_does_not_wait_gets_202_and_finds_it_at_the_next_call(
    world: World, reader: Reader, address: str
) -> None:
    world.give(address, {ETH: 12})
    world.node.chain.produce_blocks(1)
    path = f"/predicate/{{}}/reserved-coins?wait=0&min_height={world.node.chain.height}"

    pending = await reader.get(path)

    async def is_there() -> bool:
        answer = await reader.get(path)
        return answer.status_code == 200 and answer.json()["totalBalance"][0]["amount"] == "0xc"

    await until(is_there)
    assert pending.status_code == 202
    assert pending.json()["freshness"]["unmet"] == "pending"
    assert pending.json()["totalBalance"] == [{"assetId": ETH, "amount": "0xa"}]


async def test_an_age_that_is_too_great_is_fetched_anew(
    world: World, reader: Reader, address: str
) -> None:
    world.give(address, {ETH: 13})
    await until(lambda: _is_older_than_a_second(reader), seconds=10)

    young_enough = await reader.get("/predicate/{}/reserved-coins?max_age=3600")
    renewed = await reader.get("/predicate/{}/reserved-coins?max_age=1")

    assert young_enough.json()["totalBalance"][0]["amount"] == "0xa"
    assert (renewed.status_code, renewed.json()["totalBalance"][0]["amount"]) == (200, "0xd")


async def _is_older_than_a_second(reader: Reader) -> bool:
    answer = await reader.get("/predicate/{}/reserved-coins")
    return seconds_since(answer.json()["freshness"]["asOf"]) > 1.5


@pytest.mark.parametrize(
    "query",
    ["min_height=-1", "min_height=4294967296", "max_age=0", "max_age=x", "wait=31", "wait=nan"],
)
async def test_a_condition_that_makes_no_sense_is_refused_on_every_path(
    reader: Reader, query: str
) -> None:
    for path in PATHS:
        assert (await reader.get(f"{path}?{query}")).status_code == 422, path


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (['"a"'], True),
        (['W/"a"'], True),
        (['"b"', '"a"'], True),
        (['"b", "a"'], True),
        (["*"], True),
        ([], False),
        ([""], False),
        (["a"], False),
        (['"ab"'], False),
        (['"b,"a"'], False),
        (['"*"'], False),
    ],
)
def test_tags_are_compared_as_the_standard_says(header: list[str], named: bool) -> None:
    assert is_named('"a"', header) is named
