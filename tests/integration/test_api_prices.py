"""Prices of our own source, where Bako keeps none."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.errors import PriceSourceError
from provider.prices import FilePriceSource, HttpPriceSource, parse_price_list
from runtime.assembly import Runtime
from supervisor.valkey import EmbeddedServer
from tests.api_support import CHAIN_ID, ETH, NFT, World, open_world, seconds_since, started
from tests.databases import bytes32

LISTED = [
    {
        "name": "ETH",
        "networks": [
            {"type": "ethereum", "chainId": 1, "decimals": 18},
            {"type": "fuel", "chainId": CHAIN_ID, "assetId": ETH, "decimals": 9},
        ],
    }
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
    source = str(tmp_path / "prices.json")
    async with open_world(cache_server.url(), database_url, node, price_source=source) as world:
        yield world


def _offer(world: World, document: Any) -> None:
    assert world.settings.price_source is not None
    Path(world.settings.price_source).write_text(json.dumps(document))


async def _refresh(world: World) -> int | None:
    runtime = await Runtime.open(world.settings)
    try:
        return await runtime.refresh_prices()
    finally:
        await runtime.close()


async def _read(world: World) -> dict[str, Any]:
    """Read one vault through a new process, which remembers no prices."""
    user, address = await world.database.add_user(), bytes32()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    world.give(address, {ETH: 2 * 10**9, NFT: 1})
    headers = await world.sign_in(user)
    async with started(world.settings, world.publisher) as client:
        answer = await client.get(f"/predicate/reserved-coins/{predicate_id}", headers=headers)
    body: dict[str, Any] = answer.json()
    return body


async def test_our_prices_serve_where_bako_keeps_none(world: World) -> None:
    before = await _read(world)
    _offer(world, {"prices": {ETH: 1234.5}, "assets": LISTED})

    assert await _refresh(world) == 1
    body = await _read(world)

    assert (before["totalBalanceUSD"], before["quotesAsOf"]) == ("0.00", None)
    assert ETH in before["unpricedAssets"]
    assert body["totalBalanceUSD"] == "2,469.00"
    assert body["unpricedAssets"] == [NFT]
    assert [nft["assetId"] for nft in body["nfts"]] == [NFT]
    assert seconds_since(body["quotesAsOf"]) < 60
    assert not await world.redis.exists("quotes", "assets:maps")


async def test_bakos_prices_come_first(world: World) -> None:
    _offer(world, {"prices": {ETH: "1"}, "assets": LISTED})
    await _refresh(world)
    await world.quote({ETH: "10"}, {ETH: 9})

    assert (await _read(world))["totalBalanceUSD"] == "20.00"


async def test_prices_that_are_young_enough_are_not_fetched_again(world: World) -> None:
    _offer(world, {"prices": {ETH: "3"}, "assets": LISTED})
    runtime = await Runtime.open(world.settings)
    try:
        fetched = [await runtime.refresh_prices(older_than_seconds=age) for age in (60, 60, 0)]
    finally:
        await runtime.close()

    assert fetched == [1, None, 1]


async def test_a_source_that_fails_leaves_the_known_prices(world: World) -> None:
    _offer(world, {"prices": {ETH: "3"}, "assets": LISTED})
    await _refresh(world)
    _offer(world, {"prices": {ETH: "-3"}})

    with pytest.raises(PriceSourceError, match=ETH):
        await _refresh(world)

    assert (await _read(world))["totalBalanceUSD"] == "6.00"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"prices": []}',
        b'{"prices": {"0x1": "1"}}',
        json.dumps({"prices": {ETH: "NaN"}}).encode(),
        json.dumps({"prices": {ETH: None}}).encode(),
        json.dumps({"prices": {ETH: True}}).encode(),
        json.dumps({"prices": {ETH: "1 USD"}}).encode(),
        json.dumps({"prices": {}, "assets": [1]}).encode(),
        json.dumps({"prices": {}, "assets": [{"networks": "fuel"}]}).encode(),
    ],
)
def test_a_document_that_is_wrong_anywhere_is_refused(document: bytes) -> None:
    with pytest.raises(PriceSourceError, match="PRICE_SOURCE"):
        parse_price_list(document)


async def test_prices_come_over_http_and_failures_name_no_credentials() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/prices":
            return httpx.Response(200, json={"prices": {ETH: "2"}})
        if request.url.path == "/gone":
            raise httpx.ConnectError("geheim")
        return httpx.Response(500, text="geheim")

    transport = httpx.MockTransport(answer)
    found = await HttpPriceSource("https://u:geheim@p.example/prices", transport).fetch()
    assert found.prices == {ETH: "2"}
    for path in ("gone", "broken"):
        with pytest.raises(PriceSourceError) as caught:
            await HttpPriceSource(f"https://u:geheim@p.example/{path}", transport).fetch()
        assert "geheim" not in str(caught.value)


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PriceSourceError, match=r"no-such\.json"):
        await FilePriceSource(tmp_path / "no-such.json").fetch()
