"""The demo's routes: absent unless asked for, and no door to anything but simulated coins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from cli.demo.payer import SimulatedPayer
from config.settings import Settings
from devnet.options import BASE_ASSET_ID
from domain.networks import Network
from domain.values import Address, Fresh
from runtime.assembly import Runtime
from tests.api_support import CHAIN_ID, ETH, KEY, World, served, started
from tests.databases import BakoUser, bytes32

PATHS = ("/demo", "/demo/style.css", "/demo/script.js")


@pytest.fixture
async def page(world: World) -> AsyncIterator[httpx.AsyncClient]:
    settings = world.settings.model_copy(update={"demo_page": True})
    async with started(settings, world.publisher, payer=SimulatedPayer()) as client:
        yield client


async def two_vaults(world: World) -> tuple[BakoUser, list[str], list[Address]]:
    user, addresses = await world.database.add_user(), [bytes32(), bytes32()]
    vaults = [await world.database.add_predicate(user, predicate_address=a) for a in addresses]
    for address in addresses:
        world.give(address, {BASE_ASSET_ID: 1_000_000_000})
    return user, vaults, addresses


async def test_without_the_setting_there_is_no_page_and_no_payment(world: World) -> None:
    user, vaults, _ = await two_vaults(world)
    headers = await world.sign_in(user)
    body = {"from": vaults[0], "to": vaults[1]}
    async with started(world.settings, world.publisher, payer=SimulatedPayer()) as client:
        answers = [await client.get(path) for path in PATHS]
        answers.append(await client.post("/demo/transaction", json=body, headers=headers))

    assert {answer.status_code for answer in answers} == {404}


async def test_without_anybody_who_pays_there_is_no_page(world: World) -> None:
    settings = world.settings.model_copy(update={"demo_page": True})
    async with started(settings, world.publisher) as client:
        assert (await client.get("/demo")).status_code == 404


def test_the_setting_is_off_unless_it_is_set() -> None:
    assert Settings().demo_page is False


async def test_the_page_may_load_nothing_but_itself(page: httpx.AsyncClient) -> None:
    for path in PATHS:
        answer = await page.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_payment_is_made_and_announced_at_its_height(
    world: World, page: httpx.AsyncClient
) -> None:
    user, vaults, addresses = await two_vaults(world)
    headers = await world.sign_in(user)
    await world.get("/user/allocation", headers)

    body = {"from": vaults[0], "to": vaults[1]}
    answer = await page.post("/demo/transaction", json=body, headers=headers)

    assert answer.status_code == 200, answer.text
    height = answer.json()["blockHeight"]
    [refill] = world.publisher.sent
    assert refill.name == "balances.refill"
    assert refill.args == [addresses, CHAIN_ID, height]
    runtime = await Runtime.open(world.settings)
    try:
        found = await runtime.cache.read(CHAIN_ID, addresses)
    finally:
        await runtime.close()
    assert not [a for a, known in found.items() if isinstance(known, Fresh)]


async def test_nobody_pays_from_another_users_vault(world: World, page: httpx.AsyncClient) -> None:
    user, vaults, _ = await two_vaults(world)
    _, others, _ = await two_vaults(world)
    headers = await world.sign_in(user)
    for sender, receiver in ((others[0], vaults[0]), (vaults[0], str(uuid4()))):
        body = {"from": sender, "to": receiver}
        answer = await page.post("/demo/transaction", json=body, headers=headers)
        assert answer.status_code == 404

    body = {"from": vaults[0], "to": vaults[1]}
    assert (await page.post("/demo/transaction", json=body)).status_code == 401
    by_key = {"X-API-Key": KEY}
    assert (await page.post("/demo/transaction", json=body, headers=by_key)).status_code == 422
    twice = {"from": vaults[0], "to": vaults[0]}
    assert (await page.post("/demo/transaction", json=twice, headers=headers)).status_code == 422
    assert world.publisher.sent == []


async def test_nothing_is_paid_on_a_node_that_is_no_simulated_one(
    world: World,
) -> None:
    user, vaults, _ = await two_vaults(world)
    headers = await world.sign_in(user)
    body = {"from": vaults[0], "to": vaults[1]}
    async with served(world) as another:  # a server that is no devnet: our own API
        network = Network(CHAIN_ID, "mainnet", (f"{another}/v1/graphql",))
        changes = {"demo_page": True, "fuel_networks": (network,)}
        settings = world.settings.model_copy(update=changes)
        async with started(settings, world.publisher, payer=SimulatedPayer()) as client:
            answer = await client.post("/demo/transaction", json=body, headers=headers)

    assert answer.status_code == 409
    assert world.publisher.sent == []


async def test_a_refused_payment_is_a_conflict(world: World, page: httpx.AsyncClient) -> None:
    user, addresses = await world.database.add_user(), [bytes32(), bytes32()]
    vaults = [await world.database.add_predicate(user, predicate_address=a) for a in addresses]
    world.give(addresses[0], {ETH: 5})
    headers = await world.sign_in(user)

    body = {"from": vaults[0], "to": vaults[1]}
    answer = await page.post("/demo/transaction", json=body, headers=headers)

    assert answer.status_code == 409
    assert world.publisher.sent == []
