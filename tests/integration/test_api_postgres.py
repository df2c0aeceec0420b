"""The read paths on PostgreSQL, as a Bako deployment has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from supervisor.valkey import EmbeddedServer
from tests.api_support import CHAIN_ID, ETH, OTHER, open_world
from tests.databases import bytes32, coin


@pytest.fixture(scope="module")
def node() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=CHAIN_ID)) as server:
        yield server


async def test_a_session_row_a_vault_and_its_reserved_coins_are_found(
    cache_server: EmbeddedServer, node: DevnetServer, postgres_url: str
) -> None:
    async with open_world(cache_server.url(), postgres_url, node) as world:
        user, stranger = await world.database.add_user(), await world.database.add_user()
        address = bytes32()
        predicate_id = await world.database.add_predicate(
            stranger, members=[user], predicate_address=address
        )
        world.give(address, {ETH: 10, OTHER: 4})
        await world.database.add_transaction(
            predicate_id, [coin(ETH, "0x3")], network_url=world.network_url
        )
        headers = await world.sign_in(user)

        vault = await world.get(f"/predicate/reserved-coins/{predicate_id}", headers)
        everything = await world.get("/user/allocation", headers)
        event = {"chainId": CHAIN_ID, "operations": [{"to": {"address": address}}]}
        taken = await world.internal("/events/transaction", event)

    assert {b["assetId"]: b["amount"] for b in vault.json()["currentBalance"]} == {
        ETH: "0x7",
        OTHER: "0x4",
    }
    assert [p["id"] for p in everything.json()["predicates"]] == [predicate_id]
    assert taken.json()["data"]["invalidated"] == [address]


async def test_a_token_of_the_table_signs_in(
    cache_server: EmbeddedServer, node: DevnetServer, postgres_url: str
) -> None:
    async with open_world(cache_server.url(), postgres_url, node) as world:
        user = await world.database.add_user()
        await world.database.add_token(user)
        headers = {"Authorization": user.token, "signeraddress": user.address}

        assert (await world.get("/user/allocation", headers)).status_code == 200
        assert (await world.get("/ready")).status_code == 200
