from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.networks import Network
from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer
from tests.api_support import (
    CHAIN_ID,
    ETH,
    FUEL,
    KEY,
    LAST,
    NFT,
    OTHER,
    USDC,
    World,
    open_world,
    seconds_since,
    started,
)
from tests.databases import bytes32, coin, utc_now

PRICES = {ETH: "2500.5", USDC: "1.005", FUEL: "0.011", OTHER: "3"}
UNITS = {ETH: 9, USDC: 6, FUEL: 9, OTHER: 8}


@pytest.fixture(scope="module")
def node() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=CHAIN_ID)) as server:
        yield server


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path}/bako.sqlite3"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def world(
    database_url: str, cache_server: EmbeddedServer, node: DevnetServer
) -> AsyncIterator[World]:
    async with open_world(cache_server.url(), database_url, node) as world:
        yield world


on_both_databases = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


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
@pytest.mark.parametrize(
    "path",
    [
        "/predicate/reserved-coins/{}",
        "/predicate/{}/reserved-coins",
        "/api/predicate/reserved-coins/{}",
        "/api/predicate/{}/reserved-coins",
        "/predicate/{}/allocation",
        "/api/predicate/{}/allocation",
    ],
)
async def test_a_vault_of_somebody_else_looks_like_none_on_every_path(
    world: World, path: str
) -> None:
    owner, stranger = await world.database.add_user(), await world.database.add_user()
    predicate_id = await world.database.add_predicate(owner)
    headers = await world.sign_in(stranger)

    foreign = await world.get(path.format(predicate_id), headers)
    absent = await world.get(path.format(uuid4()), headers)
    deleted = await world.get(
        path.format(await world.database.add_predicate(stranger, deleted_at=utc_now())), headers
    )
    own = await world.get(path.format(predicate_id), await world.sign_in(owner))

    assert own.status_code == 200
    assert foreign.status_code == absent.status_code == deleted.status_code == 404
    assert foreign.content == absent.content == deleted.content
    assert foreign.headers == absent.headers == deleted.headers
    assert foreign.headers["content-type"] == "application/problem+json"


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


@on_both_databases
async def test_a_session_of_the_table_serves_when_redis_has_none(world: World) -> None:
    user = await world.database.add_user()
    await world.database.add_token(user)
    headers = {"Authorization": user.token, "signeraddress": user.address}

    assert (await world.get("/user/allocation", headers)).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"expired_at": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()},
        {"expired_at": None},
        {"expired_at": "soon"},
        {"expired_at": 20991231},  # a number is no date, though its digits could be one
        {"expired_at": ["2099-12-31"]},
        {"user_id": None},
        {"address": 7},
        {"network": None},
        {"network": {"url": "https://x", "chainId": -1}},
        {"network": {"url": "https://x", "chainId": "9889; DROP TABLE users"}},
        {"network": {"url": "https://x", "chainId": "9" * 5_000}},
        {"network": {"url": "https://x", "chainId": True}},
        {"network": {"url": "https://x", "chainId": 9889.5}},
    ],
)
async def test_a_session_that_is_over_or_odd_is_none(world: World, changes: dict[str, Any]) -> None:
    user = await world.database.add_user()
    headers = await world.sign_in(user, **changes)

    answer = await world.get("/user/allocation", headers)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert user.token not in answer.text


@on_both_databases
async def test_a_token_that_is_over_in_the_table_is_none(world: World) -> None:
    user = await world.database.add_user()
    await world.database.add_token(user, lasts=timedelta(seconds=-1))
    headers = {"Authorization": user.token, "signeraddress": user.address}

    assert (await world.get("/user/allocation", headers)).status_code == 401


async def test_both_headers_must_be_right(world: World) -> None:
    user, other = await world.database.add_user(), await world.database.add_user()
    right = await world.sign_in(user)

    for wrong in (
        {},
        {"Authorization": user.token},
        {"signeraddress": user.address},
        right | {"signeraddress": other.address},
        right | {"signeraddress": user.address.upper()},
        right | {"Authorization": user.token + "x"},
        right | {"Authorization": "x" * 10_000},
        right | {"Authorization": "*"},
    ):
        assert (await world.get("/user/allocation", wrong)).status_code == 401, wrong


async def test_a_network_that_is_not_configured_is_named(world: World) -> None:
    user = await world.database.add_user()
    headers = await world.sign_in(user, network={"url": "https://evil.example", "chainId": 7})

    answer = await world.get("/user/allocation", headers)

    assert answer.status_code == 422
    assert "chain id 7" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/user/allocation?limit=0",
        "/user/allocation?limit=51",
        "/user/allocation?limit=x",
        "/user/allocation?limits=3",
        "/predicate/not-a-uuid/allocation",
        "/predicate/reserved-coins/'%20OR%201=1--",
        "/predicate/reserved-coins/%00",
    ],
)
async def test_bad_input_is_a_clear_problem(world: World, path: str) -> None:
    headers = await world.sign_in(await world.database.add_user())

    answer = await world.get(path, headers)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().keys() == {"type", "title", "status", "detail"}


async def test_a_node_that_is_down_gives_the_last_known_marked_stale_or_503(
    world: World, cache_server: EmbeddedServer
) -> None:
    user, address = await world.database.add_user(), bytes32()
    known = await world.database.add_predicate(user, predicate_address=address)
    unknown = await world.database.add_predicate(user)
    world.give(address, {ETH: 10**9})
    headers = await world.sign_in(user)
    assert (await world.get(f"/predicate/reserved-coins/{known}", headers)).status_code == 200
    await world.internal("/cache/invalidate", {"predicateAddress": address})
    nowhere = world.settings.fuel_networks[0].__class__(
        CHAIN_ID, "mainnet", (f"http://user:geheim@127.0.0.1:{free_port()}/v1/graphql",)
    )
    settings = world.settings.model_copy(
        update={"fuel_networks": (nowhere,), "read_wait_seconds": 0.5}
    )

    async with started(settings, world.publisher) as client:
        stale = await client.get(f"/predicate/reserved-coins/{known}", headers=headers)
        missing = await client.get(f"/predicate/reserved-coins/{unknown}", headers=headers)
        ready = await client.get("/ready")

    assert stale.status_code == 200
    assert stale.json()["freshness"]["state"] == "stale"
    assert stale.json()["freshness"]["reason"] in {"invalidated", "node_down"}
    assert stale.json()["totalBalance"] == [{"assetId": ETH, "amount": hex(10**9)}]
    assert missing.status_code == 503
    assert ready.status_code == 503
    assert list(ready.json()["reasons"]) == ["node:mainnet"]
    assert "geheim" not in ready.text + stale.text + missing.text


@on_both_databases
async def test_without_redis_the_node_answers_and_the_answer_says_so(world: World) -> None:
    user, address = await world.database.add_user(), bytes32()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    await world.database.add_token(user)
    world.give(address, {ETH: 10**9})
    settings = world.settings.model_copy(
        update={"redis_url": f"redis://:geheim@127.0.0.1:{free_port()}/0"}
    )
    headers = {"Authorization": user.token, "signeraddress": user.address}
    # The table says mainnet by its public address; the chain id decides.

    async with started(settings, world.publisher) as client:
        answer = await client.get(f"/predicate/reserved-coins/{predicate_id}", headers=headers)
        ready = await client.get("/ready")
        nobody = await client.get("/user/allocation", headers=headers | {"Authorization": "0x1"})

    assert answer.status_code == 200
    assert answer.json()["totalBalance"] == [{"assetId": ETH, "amount": hex(10**9)}]
    assert answer.json()["freshness"]["source"] == "node"
    assert ready.status_code == 503
    assert list(ready.json()["reasons"]) == ["redis"]
    assert "geheim" not in ready.text
    assert nobody.status_code == 401


async def test_without_a_database_nobody_is_let_in_and_no_password_is_told(world: World) -> None:
    settings = world.settings.model_copy(
        update={"database_url": f"postgresql://user:geheim@127.0.0.1:{free_port()}/bako"}
    )
    headers = {"Authorization": "0x1", "signeraddress": "0x2"}

    async with started(settings, world.publisher) as client:
        answer = await client.get("/user/allocation", headers=headers)
        ready = await client.get("/ready")

    assert answer.status_code == 503
    assert list(ready.json()["reasons"]) == ["database"]
    assert "geheim" not in answer.text + ready.text


async def test_health_needs_nothing(world: World) -> None:
    assert (await world.get("/health")).json() == {"status": "alive"}
    assert (await world.get("/ready")).json()["status"] == "ready"
    assert (await world.get("/internal/health")).json()["status"] == "healthy"


async def test_switched_off_every_read_goes_to_the_node_and_back_on_needs_no_flush(
    world: World,
) -> None:
    user, address = await world.database.add_user(), bytes32()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    world.give(address, {ETH: 5})
    headers = await world.sign_in(user)
    path = f"/predicate/reserved-coins/{predicate_id}"
    off = world.settings.model_copy(update={"enable_balance_cache": False})

    async with started(off, world.publisher) as client:
        answers = [await client.get(path, headers=headers) for _ in range(2)]
        assert not await world.redis.exists(f"balance:{address}:{CHAIN_ID}")
        invalidated = await client.post(
            "/internal/cache/invalidate",
            json={"predicateAddress": address},
            headers={"X-API-Key": KEY},
        )
    on = [(await world.get(path, headers)).json()["freshness"]["source"] for _ in range(2)]

    assert [a.json()["freshness"]["source"] for a in answers] == ["node", "node"]
    assert invalidated.json()["success"] is True
    assert world.publisher.sent == []
    assert on == ["node", "cache"]


async def test_fifty_simultaneous_reads_of_a_cold_vault_share_the_node_request(
    world: World,
) -> None:
    user = await world.database.add_user()
    predicate_id = await world.database.add_predicate(user)
    headers = await world.sign_in(user)
    await world.get("/ready")
    before = len(world.node.devnet.log.records())

    answers = await asyncio.gather(
        *(world.get(f"/predicate/reserved-coins/{predicate_id}", headers) for _ in range(50))
    )

    assert {a.status_code for a in answers} == {200}
    assert len(world.node.devnet.log.records()) - before == 1


async def test_unknown_paths_and_methods_are_problems_too(world: World) -> None:
    wrong: list[httpx.Response] = [
        await world.get("/nothing"),
        await world.client.post("/user/allocation"),
    ]
    assert [a.status_code for a in wrong] == [404, 405]
    assert {a.headers["content-type"] for a in wrong} == {"application/problem+json"}


@on_both_databases
async def test_a_service_with_a_key_reads_any_vault_of_the_network_that_it_names(
    world: World,
) -> None:
    user, address = await world.database.add_user(), bytes32()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    await world.database.add_transaction(
        predicate_id, [coin(ETH, 1)], network_url=world.network_url
    )
    world.give(address, {ETH: 5})
    key, path = {"X-API-Key": KEY}, f"/predicate/reserved-coins/{predicate_id}"

    vault = await world.get(f"{path}?chainId={CHAIN_ID}", key)
    everything = await world.get(
        f"/user/allocation?chainId={CHAIN_ID}&userId={user.user_id}&limit=50", key
    )
    refused = {
        name: (await world.get(where, headers)).status_code
        for name, where, headers in (
            ("no chain id", path, key),
            ("unknown chain", f"{path}?chainId=0", key),
            ("wrong key", f"{path}?chainId={CHAIN_ID}", {"X-API-Key": "wrong"}),
            ("no user", f"/user/allocation?chainId={CHAIN_ID}", key),
            ("nobody", f"/user/allocation?chainId={CHAIN_ID}&userId={uuid4()}", key),
            ("no vault", f"/predicate/{uuid4()}/allocation?chainId={CHAIN_ID}", key),
            ("a user", f"{path}?chainId={CHAIN_ID}", await world.sign_in(user)),
        )
    }

    assert vault.json()["totalBalance"] == [{"assetId": ETH, "amount": "0x5"}]
    assert vault.json()["currentBalance"] == [{"assetId": ETH, "amount": "0x4"}]
    assert [p["id"] for p in everything.json()["predicates"]] == [predicate_id]
    assert refused == {
        "no chain id": 422,
        "unknown chain": 422,
        "wrong key": 401,
        "no user": 422,
        "nobody": 404,
        "no vault": 404,
        "a user": 422,
    }


async def test_readiness_is_no_way_to_burden_the_node(world: World) -> None:
    before = len(world.node.devnet.log.records())

    answers = await asyncio.gather(*(world.get("/ready") for _ in range(30)))

    assert {answer.status_code for answer in answers} == {200}
    assert len(world.node.devnet.log.records()) == before + 1


async def test_web_pages_of_allowed_origins_may_read_and_only_read(world: World) -> None:
    asking = {"Origin": "https://page.example", "Access-Control-Request-Headers": "signeraddress"}
    narrow = world.settings.model_copy(update={"cors_allowed_origins": ("https://other.example",)})

    async def preflight(
        client: httpx.AsyncClient, path: str, method: str
    ) -> tuple[int, str | None]:
        answer = await client.options(
            path, headers=asking | {"Access-Control-Request-Method": method}
        )
        return answer.status_code, answer.headers.get("access-control-allow-origin")

    read = await preflight(world.client, "/user/allocation", "GET")
    act = await preflight(world.client, "/internal/cache/invalidate", "POST")
    refused = await world.get("/user/allocation", asking)
    async with started(narrow, world.publisher) as client:
        elsewhere = await preflight(client, "/user/allocation", "GET")

    assert read == (200, "*")
    assert act[0] == 400
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")
    assert "access-control-allow-credentials" not in refused.headers
    assert elsewhere == (400, None)


async def test_a_balance_is_kept_by_its_users_browser_alone_and_a_problem_by_nobody(
    world: World,
) -> None:
    user = await world.database.add_user()
    known = await world.get("/user/allocation", await world.sign_in(user))
    refused = await world.get("/user/allocation")

    assert (known.status_code, refused.status_code) == (200, 401)
    assert known.headers["cache-control"] == "private, no-cache"
    assert refused.headers["cache-control"] == "no-store"
    assert "etag" not in refused.headers
