"""Shadow mode: what is served is compared off the request path; nothing is changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from devnet.faults import Fault, FaultKind
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from supervisor.valkey import EmbeddedServer
from tests.api_support import CHAIN_ID, ETH, KEY, World, open_world
from tests.databases import bytes32
from tests.provider_support import until


@pytest.fixture(scope="module")
def node() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=CHAIN_ID)) as server:
        server.chain.produce_blocks(3)  # at height 0 a node gives no evidence of its height
        yield server


@pytest.fixture
async def bako(cache_server: EmbeddedServer) -> AsyncIterator[Redis]:
    """Bako's own Redis: another database of the server."""
    redis = Redis.from_url(cache_server.url(5))
    await redis.flushdb()
    yield redis
    await redis.aclose()


@pytest.fixture
async def world(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path, bako: Redis
) -> AsyncIterator[World]:
    async with open_world(
        cache_server.url(),
        f"sqlite:///{tmp_path}/bako.sqlite3",
        node,
        shadow_verify=True,
        shadow_redis_url=cache_server.url(5),
        audit_grace_seconds=0.0,
    ) as world:
        yield world


async def shadow_counts(world: World) -> dict[str, int]:
    answer = await world.client.get("/internal/cache/stats", headers={"X-API-Key": KEY})
    counts: dict[str, int] = answer.json()["data"]["shadow"]
    return counts


async def vault_and_headers(world: World, amount: int) -> tuple[str, str, dict[str, str]]:
    address, user = bytes32(), await world.database.add_user()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    world.give(address, {ETH: amount})
    return address, f"/predicate/reserved-coins/{predicate_id}", await world.sign_in(user)


async def compared(world: World, samples: int) -> dict[str, int]:
    async def are_there() -> bool:
        return (await shadow_counts(world))["samples"] >= samples

    await until(are_there)
    return await shadow_counts(world)


async def test_what_is_right_is_compared_and_nothing_differs(world: World) -> None:
    _, path, headers = await vault_and_headers(world, 5)
    assert (await world.get(path, headers)).status_code == 200

    counts = await compared(world, 1)

    assert counts == {
        "samples": 1,
        "late": 0,
        "contradicted": 0,
        "outdated": 0,
        "dropped": 0,
        "bakoSamples": 0,
        "bakoDiffers": 0,
    }


async def test_what_differs_from_the_node_is_told_with_both_sides_and_left_as_it_is(
    world: World,
) -> None:
    address, path, headers = await vault_and_headers(world, 5)
    await world.get(path, headers)
    await compared(world, 1)
    world.give(address, {ETH: 8})  # nobody announces it
    world.node.chain.produce_blocks(1)

    with capture_logs() as logs:
        served = (await world.get(path, headers)).json()
        await compared(world, 2)

    [told] = [entry for entry in logs if entry["event"] == "shadow.differs_from_node"]
    assert (told["cached"], told["node"]) == ({ETH: 5}, {ETH: 8})
    assert (await shadow_counts(world))["outdated"] == 1
    assert served["totalBalance"][0]["amount"] == "0x5"
    assert (await world.get(path, headers)).json()["totalBalance"][0]["amount"] == "0x5"


async def test_what_bakos_own_cache_says_is_compared_and_never_written(
    world: World, bako: Redis
) -> None:
    address, path, headers = await vault_and_headers(world, 5)
    other, other_path, other_headers = await vault_and_headers(world, 6)
    for vault, amount in ((address, 4), (other, 6)):
        await bako.set(f"balance:{vault}:{CHAIN_ID}", bakos(amount))

    with capture_logs() as logs:
        await world.get(path, headers)
        await world.get(other_path, other_headers)
        counts = await compared(world, 2)

    assert (counts["bakoSamples"], counts["bakoDiffers"]) == (2, 1)
    [told] = [entry for entry in logs if entry["event"] == "shadow.differs_from_bako"]
    assert (told["address"], told["ours"], told["bako"]) == (address, {ETH: 5}, {ETH: 4})
    assert told["node_agrees_with_us"]
    assert await bako.dbsize() == 2


async def test_a_node_that_hangs_delays_no_reader(world: World, node: DevnetServer) -> None:
    _, path, headers = await vault_and_headers(world, 5)
    await world.get(path, headers)
    await compared(world, 1)
    hanging = Fault(FaultKind.SLOW, parameters={"milliseconds": 60_000})
    node.devnet.faults.add(hanging)
    try:
        async with asyncio.timeout(20):
            answers = [await world.get(path, headers) for _ in range(20)]
    finally:
        node.devnet.faults.clear()

    assert {answer.json()["freshness"]["state"] for answer in answers} == {"fresh"}


def bakos(amount: int) -> str:
    value: dict[str, Any] = {
        "balances": [{"assetId": ETH, "amount": hex(amount)}],
        "timestamp": 1_700_000_000_000,
        "chainId": CHAIN_ID,
        "networkUrl": "https://mainnet.fuel.network/v1/graphql",
    }
    return json.dumps(value)
