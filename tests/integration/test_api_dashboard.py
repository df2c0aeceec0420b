"""The dashboard: one answer for the whole page, for one query and one trip to the cache."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, update
from sqlalchemy.engine import Engine

from devnet.chain import AccountBalance
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.networks import Network
from registry.models import Transaction
from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer
from tests.api_support import CHAIN_ID, ETH, KEY, NFT, USDC, World, open_world, started
from tests.databases import bytes32, coin, utc_now
from tests.provider_support import until

PRICES, UNITS = {ETH: "2500", USDC: "1"}, {ETH: 9, USDC: 6}
PATH = "/user/dashboard"


@pytest.fixture(scope="module")
def node() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=CHAIN_ID)) as server:
        yield server


@pytest.fixture(scope="module")
def testnet() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=0)) as server:
        yield server


@pytest.fixture
async def world(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path
) -> AsyncIterator[World]:
    database_url = f"sqlite:///{tmp_path}/bako.sqlite3"
    async with open_world(cache_server.url(), database_url, node) as world:
        yield world


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every statement that any engine sends to a database."""
    sent: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("PRAGMA"):
            sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)


async def _commands(world: World) -> dict[str, int]:
    """Return how often each command was sent to the cache server so far."""
    told = await world.redis.info("commandstats")
    return {name.removeprefix("cmdstat_"): figures["calls"] for name, figures in told.items()}


def _sent(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    sent = {name: calls - before.get(name, 0) for name, calls in after.items()}
    return {name: calls for name, calls in sent.items() if calls and name != "info"}


async def test_the_whole_page_is_in_one_answer(world: World) -> None:
    user = await world.database.add_user()
    rich, poor = bytes32(), bytes32()
    first = await world.database.add_predicate(user, predicate_address=rich, name="rich")
    second = await world.database.add_predicate(
        user, predicate_address=poor, name="poor", updated_at=utc_now().replace(year=2020)
    )
    world.give(rich, {ETH: 2 * 10**9, NFT: 1})
    world.give(poor, {USDC: 3_000_000})
    await world.quote(PRICES, UNITS)
    await world.database.add_transaction(
        first, [coin(ETH, 5 * 10**8)], network_url=world.network_url
    )

    answer = await world.get(PATH, await world.sign_in(user))

    assert answer.status_code == 200
    body = answer.json()
    one, two = body["vaults"]
    assert [v["id"] for v in (one, two)] == [first, second]  # what changed last is first
    assert (
        one.items()
        >= {
            "name": "rich",
            "address": rich,
            "chainId": CHAIN_ID,
            "members": 1,
            "minSigners": 1,
            "currentBalance": [{"assetId": ETH, "amount": hex(15 * 10**8)}],
            "reservedCoins": [{"assetId": ETH, "amount": hex(5 * 10**8)}],
            "nfts": [{"assetId": NFT, "amount": "0x1"}],
            "currentBalanceUSD": "3,750.00",
            "totalBalanceUSD": "5,000.00",
            "reservedCoinsUSD": "1,250.00",
            "worth": {"reserved": "1,250.00", "total": None, "current": "3,750.00"},
            "partial": False,
            "unpricedAssets": [NFT],
        }.items()
    )
    assert {b["assetId"] for b in one["totalBalance"]} == {ETH, NFT}
    assert one["allocation"] == [
        {"assetId": ETH, "amountInUSD": 3750.0, "amount": hex(15 * 10**8), "percentage": 100.0}
    ]
    assert one["freshness"]["state"] == two["freshness"]["state"] == "fresh"
    assert [row["assetId"] for row in body["allocation"]] == [ETH, USDC]
    totals = {
        "currentBalanceUSD": "3,753.00",
        "totalBalanceUSD": "5,003.00",
        "reservedCoinsUSD": "1,250.00",
        "worth": {"reserved": "1,250.00", "total": None, "current": "3,753.00"},
        "partial": False,
        "vaults": 2,
        "missingVaults": 0,
        "staleVaults": 0,
        "unpricedAssets": [NFT],
    }
    assert body["totals"] == totals
    assert body["networks"] == [{"chainId": CHAIN_ID, "name": "mainnet", "totals": totals}]
    assert body["partial"] is False
    assert body["quotesAsOf"] is not None


async def test_the_figures_are_those_of_the_single_paths(world: World) -> None:
    user, address = await world.database.add_user(), bytes32()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    world.give(address, {ETH: 3 * 10**9, USDC: 7, NFT: 1})
    await world.quote(PRICES, UNITS)
    headers = await world.sign_in(user)
    await world.get(PATH, headers)

    page = (await world.get(PATH, headers)).json()
    vault = (await world.get(f"/predicate/reserved-coins/{predicate_id}", headers)).json()
    spread = (await world.get("/user/allocation", headers)).json()

    [card] = page["vaults"]
    same = vault.keys() & card.keys()
    assert same >= {"currentBalance", "totalBalance", "nfts", "worth", "freshness"}
    assert {name: card[name] for name in same} == {name: vault[name] for name in same}
    assert page["allocation"] == spread["data"]


async def test_a_user_without_vaults_has_an_empty_page(world: World) -> None:
    answer = await world.get(PATH, await world.sign_in(await world.database.add_user()))

    assert answer.status_code == 200
    assert (answer.json()["vaults"], answer.json()["partial"]) == ([], False)


async def test_one_network_or_all_of_them_as_the_caller_chooses(
    world: World, testnet: DevnetServer
) -> None:
    user, address = await world.database.add_user(), bytes32()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    world.give(address, {USDC: 1_000_000})
    testnet.chain.set_balances([AccountBalance(address, USDC, 2_000_000)])
    await world.quote({USDC: "1"}, {})
    await world.database.add_transaction(
        predicate_id, [coin(USDC, 500_000)], network_url=testnet.url
    )
    both = (*world.settings.fuel_networks, Network(0, "testnet", (testnet.url,)))
    settings = world.settings.model_copy(update={"fuel_networks": both})
    headers, key = await world.sign_in(user), {"X-API-Key": KEY}

    async with started(settings, world.publisher) as client:

        async def amounts(query: str, who: dict[str, str]) -> dict[int, tuple[str, str]]:
            answer = await client.get(PATH + query, headers=who)
            assert answer.status_code == 200, answer.text
            body = answer.json()
            assert [n["chainId"] for n in body["networks"]] == [
                v["chainId"] for v in body["vaults"]
            ]
            return {
                v["chainId"]: (v["totalBalance"][0]["amount"], v["currentBalance"][0]["amount"])
                for v in body["vaults"]
            }

        main, test = (hex(1_000_000),) * 2, (hex(2_000_000), hex(1_500_000))
        assert await amounts("", headers) == {CHAIN_ID: main}
        assert await amounts("?network=0", headers) == {0: test}
        assert await amounts("?network=all", headers) == {CHAIN_ID: main, 0: test}
        service = f"?userId={user.user_id}&chainId={CHAIN_ID}"
        assert await amounts(service, key) == {CHAIN_ID: main}
        assert await amounts(service + "&network=all", key) == {CHAIN_ID: main, 0: test}
        refused = {
            query: (await client.get(PATH + query, headers=headers)).status_code
            for query in ("?network=7", "?network=x", "?network=", "?network=all&min_height=1")
        }
    assert set(refused.values()) == {422}


async def test_a_vault_that_nobody_knows_is_null_and_the_totals_partial(world: World) -> None:
    user, address = await world.database.add_user(), bytes32()
    await world.database.add_predicate(user, predicate_address=address, name="known")
    world.give(address, {ETH: 10**9})
    await world.quote(PRICES, UNITS)
    headers = await world.sign_in(user)
    assert (await world.get(PATH, headers)).status_code == 200
    await world.internal("/cache/invalidate", {"predicateAddress": address})
    await world.database.add_predicate(user, name="unknown")
    await world.internal("/registry/changed")
    nowhere = Network(CHAIN_ID, "mainnet", (f"http://127.0.0.1:{free_port()}/v1/graphql",))
    down = world.settings.model_copy(update={"fuel_networks": (nowhere,)})

    async with started(down, world.publisher) as client:
        answer = await client.get(PATH + "?wait=0.5", headers=headers)

    body = answer.json()
    assert answer.status_code == 200
    cards = {card["name"]: card for card in body["vaults"]}
    assert cards["known"]["freshness"]["state"] == "stale"
    assert cards["known"]["totalBalance"] == [{"assetId": ETH, "amount": hex(10**9)}]
    unknown = cards["unknown"]
    assert unknown["freshness"]["state"] == "missing"
    for name in ("currentBalance", "totalBalance", "nfts", "currentBalanceUSD", "totalBalanceUSD"):
        assert unknown[name] is None, name
    assert unknown["worth"] == {"reserved": "0.00", "total": None, "current": None}
    totals = body["totals"]
    assert (totals["partial"], totals["missingVaults"], totals["staleVaults"]) == (True, 1, 1)
    assert totals["totalBalanceUSD"] == "2,500.00"
    assert totals["worth"]["total"] is None


async def test_a_page_costs_one_statement_and_one_trip_however_many_vaults_it_has(
    world: World, statements: list[str]
) -> None:
    costs: dict[int, tuple[int, dict[str, int]]] = {}
    settings = world.settings.model_copy(update={"registry_cache_seconds": 0.0})
    for vaults in (1, 10, 60):
        user = await world.database.add_user()
        for _ in range(vaults):
            predicate_id = await world.database.add_predicate(user)
            await world.database.add_transaction(predicate_id, [coin(ETH, 1)])
        headers = await world.sign_in(user)
        async with started(settings, world.publisher) as client:
            for _ in range(2):  # fills the cache, the prices and the clock
                assert (await client.get(PATH, headers=headers)).status_code == 200
            statements.clear()
            before = await _commands(world)
            answer = await client.get(PATH, headers=headers)
            costs[vaults] = (len(statements), _sent(before, await _commands(world)))
        assert len(answer.json()["vaults"]) == vaults
        assert {v["freshness"]["source"] for v in answer.json()["vaults"]} == {"cache"}

    assert costs[1] == costs[10] == costs[60]
    assert costs[10] == (1, {"mget": 2})  # the session with the registry's version; all vaults


async def test_what_the_registry_told_is_remembered_until_a_change_is_told(
    world: World, statements: list[str]
) -> None:
    settings = world.settings.model_copy(update={"registry_cache_seconds": 60.0})
    user = await world.database.add_user()
    await world.database.add_predicate(user)
    headers = await world.sign_in(user)

    async with started(settings, world.publisher) as client, started(settings, None) as other:

        async def vaults(process: Any) -> int:
            return len((await process.get(PATH, headers=headers)).json()["vaults"])

        async def remembers(process: Any) -> bool:
            statements.clear()
            await vaults(process)
            return statements == []

        # At first the balances may have come after what the database told.
        await until(lambda: remembers(client))
        await until(lambda: remembers(other))
        await world.database.add_predicate(user)
        statements.clear()
        assert await vaults(client) == await vaults(other) == 1
        assert statements == []

        changed = await world.internal("/registry/changed")
        seen = [await vaults(client), await vaults(other)]

    assert changed.json()["success"] is True
    assert seen == [2, 2]


async def test_a_confirmed_transaction_changes_balance_and_reservation_together(
    world: World,
) -> None:
    settings = world.settings.model_copy(update={"registry_cache_seconds": 60.0})
    user, address = await world.database.add_user(), bytes32()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    await world.database.add_transaction(
        predicate_id, [coin(ETH, 4)], network_url=world.network_url
    )
    world.give(address, {ETH: 10})
    headers = await world.sign_in(user)

    async with started(settings, world.publisher) as client:

        async def figures() -> tuple[str, str, int]:
            [card] = (await client.get(PATH, headers=headers)).json()["vaults"]
            total, current = card["totalBalance"][0], card["currentBalance"][0]
            return total["amount"], current["amount"], len(card["reservedCoins"])

        before = [await figures() for _ in range(3)]
        async with world.database.engine.begin() as connection:
            await connection.execute(update(Transaction).values(status="success"))
        world.give(address, {ETH: 6})
        await client.post(
            "/internal/cache/invalidate",
            json={"predicateAddress": address, "chainId": CHAIN_ID},
            headers={"X-API-Key": KEY},
        )
        after = [await figures() for _ in range(3)]

    assert before == [("0xa", "0x6", 1)] * 3
    assert after == [("0x6", "0x6", 0)] * 3
