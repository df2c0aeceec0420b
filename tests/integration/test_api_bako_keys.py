"""Bako's own way of reading and writing the cache, in Node, beside ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.values import MAX_AMOUNT
from supervisor.valkey import EmbeddedServer
from tests import bako_node
from tests.api_support import CHAIN_ID, ETH, USDC, World, open_world
from tests.databases import bytes32


@pytest.fixture(scope="module")
def node() -> Iterator[DevnetServer]:
    bako_node.install()
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=CHAIN_ID)) as server:
        yield server


@pytest.fixture
async def world(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path
) -> AsyncIterator[World]:
    database_url = f"sqlite:///{tmp_path}/bako.sqlite3"
    async with open_world(cache_server.url(), database_url, node) as world:
        yield world


async def _typescript(world: World, *steps: dict[str, Any]) -> list[Any]:
    url = world.settings.redis_url
    results: list[Any] = await asyncio.to_thread(
        bako_node.run, "balance_cache.mjs", list(steps), CHECK_REDIS_URL=url
    )
    return results


async def _vault(world: World, amounts: dict[str, int]) -> tuple[str, str, dict[str, str]]:
    address, user = bytes32(), await world.database.add_user()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    world.give(address, amounts)
    return address, f"/predicate/reserved-coins/{predicate_id}", await world.sign_in(user)


def _step(action: str, address: str, **more: Any) -> dict[str, Any]:
    return {"do": action, "address": address, "chainId": CHAIN_ID, **more}


async def test_typescript_reads_what_we_write_and_sees_our_invalidations(world: World) -> None:
    address, path, headers = await _vault(world, {ETH: 10**9, USDC: MAX_AMOUNT})
    shown = (await world.get(path, headers)).json()["totalBalance"]

    [read, before] = await _typescript(
        world, _step("get", address), _step("needsTransactions", address)
    )
    await world.internal("/cache/invalidate", {"predicateAddress": address, "chainId": CHAIN_ID})
    [flagged, marked] = await _typescript(
        world, _step("get", address), _step("needsTransactions", address)
    )
    await world.get(path, headers)
    [again] = await _typescript(world, _step("get", address))

    assert read == {
        "balances": shown,
        "chain": CHAIN_ID,
        "networkUrl": world.network_url,
        "isRecent": True,
    }
    assert {b["amount"] for b in read["balances"]} == {"0x3b9aca00", hex(MAX_AMOUNT)}
    assert (before, flagged, marked) == (False, None, True)
    assert again is not None
    assert again["balances"] == shown


async def test_typescript_reads_an_empty_vault_as_a_hit(world: World) -> None:
    address, path, headers = await _vault(world, {})
    await world.get(path, headers)

    [read] = await _typescript(world, _step("get", address))

    assert read is not None
    assert read["balances"] == []


async def test_we_read_what_typescript_writes(world: World) -> None:
    address, path, headers = await _vault(world, {ETH: 1})
    balances = [{"assetId": ETH, "amount": "0x2540be400"}, {"assetId": USDC, "amount": "0x0"}]

    await _typescript(world, _step("set", address, balances=balances, networkUrl=world.network_url))
    body = (await world.get(path, headers)).json()

    assert body["freshness"]["source"] == "cache"
    assert body["freshness"]["state"] == "fresh"
    assert body["totalBalance"] == balances[:1]  # zero amounts are kept there, not shown


@pytest.mark.parametrize("chain_id", [CHAIN_ID, None])
async def test_we_see_typescripts_invalidations_and_its_flags_go_with_our_refill(
    world: World, chain_id: int | None
) -> None:
    address, path, headers = await _vault(world, {ETH: 5})
    await world.get(path, headers)
    world.give(address, {ETH: 6})
    assert (await world.get(path, headers)).json()["totalBalance"][0]["amount"] == "0x5"

    await _typescript(world, {"do": "invalidate", "address": address, "chainId": chain_id})
    body = (await world.get(path, headers)).json()
    [read] = await _typescript(world, _step("get", address))

    assert body["totalBalance"] == [{"assetId": ETH, "amount": "0x6"}]
    assert body["freshness"]["state"] == "fresh"
    assert read is not None
    assert read["balances"] == body["totalBalance"]
