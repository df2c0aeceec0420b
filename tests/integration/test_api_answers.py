"""The answers: Bako's fields as Bako has them, ours beside them, on both databases."""

from __future__ import annotations

import json

import pytest

from domain.networks import Network
from supervisor.ports import free_port
from tests.api_support import (
    CHAIN_ID,
    ETH,
    FUEL,
    LAST,
    NFT,
    OTHER,
    USDC,
    World,
    on_both_databases,
    seconds_since,
    started,
)
from tests.databases import bytes32, coin

PRICES = {ETH: "2500.5", USDC: "1.005", FUEL: "0.011", OTHER: "3"}


UNITS = {ETH: 9, USDC: 6, FUEL: 9, OTHER: 8}


@on_both_databases
async def test_reserved_coins_have_bakos_shape_and_figures(world: World) -> None:
    user, address = await world.database.add_user(), bytes32()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    world.give(address, {ETH: 2_000_000_000, USDC: 2_000_000, OTHER: 5, NFT: 1})
    await world.quote(PRICES, UNITS)
    await world.database.add_transaction(
        predicate_id,
        [coin(ETH, "0x3b9aca00"), coin(OTHER, 8)],
        network_url=world.network_url.replace("http://", "http://user:pass@"),
    )
    await world.database.add_transaction(
        predicate_id,
        [coin(USDC, 1_000_000)],
        network_url="https://user:pass@elsewhere.example/v1/graphql",
    )
    headers = await world.sign_in(
        user, network={"url": world.network_url.replace("http:", "https:"), "chainId": CHAIN_ID}
    )

    answer = await world.get(f"/predicate/reserved-coins/{predicate_id}", headers)

    body = answer.json()
    assert answer.status_code == 200
    assert body["reservedCoinsUSD"] == "2,500.50"
    assert body["totalBalanceUSD"] == "5,003.01"
    assert body["currentBalanceUSD"] == "2,502.51"
    assert body["reservedCoins"] == [
        {"assetId": ETH, "amount": "0x3b9aca00"},
        {"assetId": OTHER, "amount": "0x8"},
    ]
    # What is reserved beyond the balance is not there, rather than shown as money.
    assert sorted(body["currentBalance"], key=lambda b: str(b["assetId"])) == [
        {"assetId": USDC, "amount": "0x1e8480"},
        {"assetId": ETH, "amount": "0x3b9aca00"},
    ]
    assert {b["assetId"]: b["amount"] for b in body["totalBalance"]} == {
        ETH: "0x77359400",
        USDC: "0x1e8480",
        OTHER: "0x5",
        NFT: "0x1",
    }
    assert body["nfts"] == [{"assetId": NFT, "amount": "0x1"}]
    assert body["unpricedAssets"] == [NFT]
    # What has a price is worth as much as Bako says; with the NFT in it nobody knows.
    assert body["worth"] == {"reserved": "2,500.50", "total": None, "current": "2,502.51"}
    assert body["partial"] is False
    assert seconds_since(body["quotesAsOf"]) < 60
    assert seconds_since(body["freshness"]["asOf"]) < 60
    assert body["freshness"].items() >= {"state": "fresh", "reason": None, "source": "node"}.items()

    again = (await world.get(f"/predicate/reserved-coins/{predicate_id}", headers)).json()
    assert again["freshness"]["source"] == "cache"
    assert again["totalBalance"] == body["totalBalance"]


@on_both_databases
async def test_allocation_shows_three_assets_and_the_others_and_cuts_only_the_list(
    world: World,
) -> None:
    user = await world.database.add_user()
    addresses = [bytes32() for _ in range(3)]
    ids = [
        await world.database.add_predicate(
            user,
            predicate_address=address,
            name=f"vault {place}",
            configurable=json.dumps(
                {"SIGNERS": [user.address, bytes32(), "0x" + "0" * 64], "SIGNATURES_COUNT": 2}
            ),
        )
        for place, address in enumerate(addresses)
    ]
    world.give(addresses[0], {ETH: 10**9, USDC: 10**6, NFT: 1})
    world.give(addresses[1], {FUEL: 10**9, OTHER: 10**8, LAST: 77})
    await world.quote(PRICES | {LAST: "10000"}, UNITS)

    body = (await world.get("/user/allocation?limit=2", await world.sign_in(user))).json()

    assert [row["assetId"] for row in body["data"]] == [ETH, OTHER, USDC, None]
    assert [row["amountInUSD"] for row in body["data"]] == [
        2500.5,
        3.0,
        1.005,
        pytest.approx(0.0187, abs=1e-12),
    ]
    assert body["data"][3]["amount"] == hex(10**9 + 77)
    assert sum(row["percentage"] for row in body["data"]) == pytest.approx(100)
    assert body["totalAmountInUSD"] == pytest.approx(2504.5237, abs=1e-9)
    first, second = body["predicates"]
    assert first == {
        "id": ids[0],
        "name": "vault 0",
        "address": addresses[0],
        "members": 2,
        "minSigners": 2,
        "amountInUSD": 2501.505,
        "worthInUSD": 2501.505,
        "freshness": first["freshness"],
    }
    assert second["id"] == ids[1]
    assert body["totalWorthInUSD"] == body["totalAmountInUSD"]
    assert (body["missingVaults"], body["staleVaults"]) == (0, 0)
    assert body["partial"] is False


@on_both_databases
async def test_a_user_without_vaults_has_an_empty_allocation(world: World) -> None:
    user = await world.database.add_user()
    body = (await world.get("/user/allocation", await world.sign_in(user))).json()
    assert (body["data"], body["totalAmountInUSD"], body["predicates"]) == ([], 0, [])
    assert body["partial"] is False


@on_both_databases
async def test_a_vault_that_nobody_can_read_makes_totals_partial_and_never_counts_as_zero(
    world: World,
) -> None:
    user, address = await world.database.add_user(), bytes32()
    await world.database.add_predicate(user, predicate_address=address)
    broken = await world.database.add_predicate(user, predicate_address="0xbroken")
    world.give(address, {ETH: 10**9})
    await world.quote(PRICES, UNITS)
    headers = await world.sign_in(user)

    body = (await world.get("/user/allocation", headers)).json()
    alone = await world.get(f"/predicate/{broken}/allocation", headers)

    assert body["partial"] is True
    assert body["totalAmountInUSD"] == 2500.5
    assert body["totalWorthInUSD"] is None
    assert (body["missingVaults"], body["staleVaults"]) == (1, 0)
    [known, unknown] = body["predicates"]
    assert (known["amountInUSD"], known["freshness"]["state"]) == (2500.5, "fresh")
    assert (unknown["amountInUSD"], unknown["freshness"]["state"]) == (None, "missing")
    assert alone.status_code == 503
    assert alone.headers["retry-after"] == "1"


async def test_an_unknown_price_makes_our_values_unknown_and_bakos_stay_as_they_are(
    world: World,
) -> None:
    user, (priced, mixed) = await world.database.add_user(), (bytes32(), bytes32())
    await world.database.add_predicate(user, predicate_address=priced)
    predicate_id = await world.database.add_predicate(user, predicate_address=mixed)
    world.give(priced, {ETH: 10**9})
    world.give(mixed, {ETH: 2 * 10**9, LAST: 7})
    await world.quote(PRICES, UNITS)
    headers = await world.sign_in(user)

    everything = (await world.get("/user/allocation", headers)).json()
    vault = (await world.get(f"/predicate/reserved-coins/{predicate_id}", headers)).json()

    assert everything["totalAmountInUSD"] == 7501.5
    assert everything["totalWorthInUSD"] is None
    assert everything["partial"] is False
    assert [p["amountInUSD"] for p in everything["predicates"]] == [5001.0, 2500.5]
    assert [p["worthInUSD"] for p in everything["predicates"]] == [None, 2500.5]
    assert everything["unpricedAssets"] == vault["unpricedAssets"] == [LAST]
    assert (vault["totalBalanceUSD"], vault["currentBalanceUSD"]) == ("5,001.00", "5,001.00")
    assert vault["worth"] == {"reserved": "0.00", "total": None, "current": None}


async def test_vaults_that_the_list_does_not_show_still_mark_the_total(world: World) -> None:
    user = await world.database.add_user()
    addresses = [bytes32() for _ in range(3)]
    for address in addresses:
        await world.database.add_predicate(user, predicate_address=address)
        world.give(address, {ETH: 10**9})
    await world.database.add_predicate(user, predicate_address="0xbroken")
    await world.quote(PRICES, UNITS)
    headers = await world.sign_in(user)
    await world.get("/user/allocation", headers)
    await world.internal("/cache/invalidate", {"addresses": addresses[1:]})
    nowhere = Network(CHAIN_ID, "mainnet", (f"http://127.0.0.1:{free_port()}/v1/graphql",))
    settings = world.settings.model_copy(
        update={"fuel_networks": (nowhere,), "read_wait_seconds": 0.3}
    )

    async with started(settings, world.publisher) as client:
        body = (await client.get("/user/allocation?limit=1", headers=headers)).json()

    assert body["totalAmountInUSD"] == 3 * 2500.5
    assert len(body["predicates"]) == 1
    assert (body["partial"], body["missingVaults"], body["staleVaults"]) == (True, 1, 2)
    assert body["totalWorthInUSD"] is None


@on_both_databases
async def test_a_draft_that_cannot_be_read_makes_the_answer_partial(world: World) -> None:
    user = await world.database.add_user()
    predicate_id = await world.database.add_predicate(user)
    await world.database.add_transaction(predicate_id, "odd", network_url=world.network_url)
    headers = await world.sign_in(user)

    paths = (
        f"/predicate/reserved-coins/{predicate_id}",
        f"/predicate/{predicate_id}/allocation",
        "/user/allocation",
    )
    vault, *allocations = [(await world.get(path, headers)).json() for path in paths]

    assert vault["partial"] is True
    assert vault["worth"] == {"reserved": None, "total": "0.00", "current": None}
    for body in allocations:
        assert (body["partial"], body["totalWorthInUSD"]) == (True, None)
        assert [p["worthInUSD"] for p in body["predicates"]] == [None]
