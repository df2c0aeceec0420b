"""A user's balances as a stream: at once what is known, then every change."""

from __future__ import annotations

import asyncio
import json

from devnet.faults import Fault, FaultKind
from devnet.server import DevnetServer
from tests.api_support import CHAIN_ID, ETH, USDC, World
from tests.databases import bytes32
from tests.stream_site import Site, of
from tests.stream_support import SECONDS, amount_of, reading


async def test_what_is_known_comes_at_once_and_then_each_change(site: Site) -> None:
    await site.world.get("/user/allocation", site.headers)  # both vaults are known now
    vault, address = site.first

    async with reading(site.url, site.headers) as stream:
        snapshot = await stream.until("snapshot")
        told = {data["predicateId"]: amount_of(data, ETH) for data in stream.told("balances")}
        await site.change(address, 6)
        await stream.until("balances", of(vault, 6))

    assert stream.response.headers["content-type"].startswith("text/event-stream")
    assert stream.response.headers["cache-control"] == "no-store, no-transform"
    assert stream.response.headers["x-accel-buffering"] == "no"
    assert stream.seen[0].name == "vaults"
    assert {v["predicateId"] for v in stream.seen[0].data["vaults"]} == set(site.vaults)
    assert snapshot.data == {"vaults": 2, "known": 2}
    assert snapshot.event_id is not None
    assert set(told.values()) == {5, 7}
    assert told.keys() == site.vaults.keys()


async def test_the_documents_path_is_the_same_stream(site: Site) -> None:
    async with reading(site.url, site.headers, path="/api/user/balances/stream") as stream:
        assert (await stream.until("snapshot")).data["vaults"] == 2


async def test_what_nobody_knows_yet_is_fetched_and_comes_when_it_is_known(site: Site) -> None:
    async with reading(site.url, site.headers) as stream:
        first = await stream.until("snapshot")
        async with asyncio.timeout(SECONDS):
            while {d["predicateId"] for d in stream.told("balances")} != set(site.vaults):
                await stream.next()

    assert first.data["known"] == 0
    assert {amount_of(data, ETH) for data in stream.told("balances")} == {5, 7}
    assert {data["freshness"]["state"] for data in stream.told("balances")} == {"fresh"}


async def test_an_outdated_vault_is_told_as_stale_and_in_bakos_words(
    site: Site, node: DevnetServer
) -> None:
    await site.world.get("/user/allocation", site.headers)
    vault, address = site.first
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
        node.devnet.faults.add(Fault(FaultKind.SERVER_ERROR))
        try:
            await site.invalidate(address)
            event = await stream.until("balances", of(vault, 5, "stale"))
        finally:
            node.devnet.faults.clear()
        await stream.until("balances", of(vault, 5, "fresh"))  # looked at again, and fetched

    assert event.data["freshness"]["reason"] == "invalidated"
    assert event.data["asOf"].endswith("Z")
    assert stream.told("[BALANCE_OUTDATED_USER]") == [
        {
            "sessionId": site.user.user_id,
            "to": "[UI]",
            "type": "[BALANCE_OUTDATED_USER]",
            "workspaceId": None,
            "outdatedPredicateIds": [vault],
        }
    ]
    assert stream.told("[BALANCE_OUTDATED_PREDICATE]") == [
        {
            "sessionId": site.user.user_id,
            "to": "[UI]",
            "type": "[BALANCE_OUTDATED_PREDICATE]",
            "predicateId": vault,
            "workspaceId": None,
        }
    ]


async def test_a_stream_without_news_says_that_it_lives_and_moves_the_id_on(site: Site) -> None:
    await site.world.get("/user/allocation", site.headers)
    address = bytes32()
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
        before = str(stream.last_id)
        await site.invalidate(address)

        async with asyncio.timeout(SECONDS):
            while str(stream.last_id) == before:
                await stream.next()

    assert stream.heartbeats > 0
    assert [e for e in stream.seen if address in json.dumps(e.data)] == []


async def test_a_value_that_bako_wrote_is_told_though_no_change_was_announced(site: Site) -> None:
    _, address = site.first
    await site.world.get("/user/allocation", site.headers)
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
        stored = json.loads(await _text(site.world, f"balance:{address}:{CHAIN_ID}"))
        written = {
            "balances": [{"assetId": USDC, "amount": "0x2a"}],
            "timestamp": stored["timestamp"] + 1_000,
            "chainId": CHAIN_ID,
            "networkUrl": site.world.network_url,
        }
        await site.world.redis.set(f"balance:{address}:{CHAIN_ID}", json.dumps(written), ex=600)

        await stream.until("balances", lambda data: amount_of(data, USDC) == 42)


async def _text(world: World, key: str) -> str:
    value = await world.redis.get(key)
    assert isinstance(value, bytes)
    return value.decode()
