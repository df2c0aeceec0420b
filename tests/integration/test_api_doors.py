"""What holds on every path alike: the session's network, the keys' limits, and bad input."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid4

import pytest

from devnet.chain import AccountBalance
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.networks import Network
from tests.api_support import CHAIN_ID, ETH, KEY, World, on_both_databases, started
from tests.databases import bytes32, coin

READ_PATHS = [
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
INTERNAL = [
    ("POST", "/internal/cache/invalidate"),
    ("POST", "/internal/invalidate-balance"),
    ("POST", "/internal/invalidate-all"),
    ("POST", "/internal/cache/clear"),
    ("POST", "/internal/clear-all-cache"),
    ("POST", "/internal/cache/warmup"),
    ("POST", "/internal/warmup-user"),
    ("POST", "/internal/cache/metrics/reset"),
    ("POST", "/internal/registry/changed"),
    ("POST", "/internal/events/transaction"),
    ("GET", "/internal/cache/stats"),
    ("GET", "/internal/cache-stats"),
    ("GET", "/internal/cache/keys"),
]


@pytest.fixture(scope="module")
def testnet() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=0)) as server:
        yield server


def _amount(body: dict[str, Any]) -> str:
    """Return what the caller has of the one asset, in each form of answer."""
    if "vaults" in body:
        [body] = body["vaults"]
    rows = body["currentBalance"] if "currentBalance" in body else body["data"]
    return str(rows[0]["amount"])


@on_both_databases
async def test_the_sessions_network_decides_the_chain_and_the_reservations_on_every_path(
    world: World, testnet: DevnetServer
) -> None:
    user, address = await world.database.add_user(), bytes32()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    world.give(address, {ETH: 10})
    testnet.chain.set_balances([AccountBalance(address, ETH, 100)])
    await world.quote({ETH: "2"}, {ETH: 0})
    await world.database.add_transaction(
        predicate_id, [coin(ETH, 1)], network_url=world.network_url
    )
    await world.database.add_transaction(predicate_id, [coin(ETH, 30)], network_url=testnet.url)
    both = (*world.settings.fuel_networks, Network(0, "testnet", (testnet.url,)))
    settings = world.settings.model_copy(update={"fuel_networks": both})

    seen: dict[str, list[str]] = {}
    async with started(settings, world.publisher) as client:
        for network in (
            {"url": world.network_url, "chainId": CHAIN_ID},
            {"url": testnet.url, "chainId": 0},
            {"url": testnet.url, "chainId": "0"},
        ):
            headers = await world.sign_in(user, network=network)
            for path in READ_PATHS:
                answer = await client.get(path.format(predicate_id), headers=headers)
                seen.setdefault(path, []).append(_amount(answer.json()))

    assert seen == {path: [hex(9), hex(70), hex(70)] for path in READ_PATHS}


async def test_a_service_that_reads_passes_the_same_doors_as_on_the_internal_routes(
    world: World,
) -> None:
    predicate_id = await world.database.add_predicate(await world.database.add_user())
    headers = {"X-API-Key": KEY}
    path = f"/predicate/{predicate_id}/allocation?chainId={CHAIN_ID}"
    elsewhere = {"internal_allowed_cidrs": (ip_network("10.0.0.0/8"),)}
    seldom = {"internal_rate_limit": 2}
    shut = {"internal_api_key": None}

    async def statuses(changes: dict[str, Any], peer: str) -> list[tuple[int, str]]:
        settings = world.settings.model_copy(update=changes)
        async with started(settings, world.publisher, peer=peer) as client:
            answers = [await client.get(path, headers=headers) for _ in range(5)]
        return [(a.status_code, a.headers["content-type"]) for a in answers]

    problem = "application/problem+json"
    assert await statuses(elsewhere, "11.0.0.1") == [(403, problem)] * 5
    assert await statuses(elsewhere, "10.0.0.1") == [(200, "application/json")] * 5
    assert await statuses(shut, "10.0.0.2") == [(503, problem)] * 5
    limited = await statuses(seldom, "10.0.0.3")
    # A new minute may begin in between: then the count begins anew, once.
    assert limited.count((429, problem)) in {1, 2, 3}
    assert limited.count((200, "application/json")) == 5 - limited.count((429, problem))


async def test_an_unknown_query_parameter_is_named_on_every_path(world: World) -> None:
    user = await world.database.add_user()
    predicate_id = await world.database.add_predicate(user)
    session = await world.sign_in(user)
    paths = [("GET", path.format(predicate_id), session) for path in READ_PATHS]
    paths += [(method, path, {"X-API-Key": KEY}) for method, path in INTERNAL]

    for method, path, headers in paths:
        body = {"all": True} if method == "POST" else None
        answer = await world.client.request(
            method, path, params={"chain_id": 0}, headers=headers, json=body
        )
        assert answer.status_code == 422, path
        assert "query.chain_id" in answer.json()["detail"], path
        assert answer.headers["content-type"] == "application/problem+json"
    assert world.publisher.sent == []


async def test_every_internal_route_is_shut_without_a_key_and_to_a_wrong_one(world: World) -> None:
    shut = world.settings.model_copy(update={"internal_api_key": None})
    async with started(shut, world.publisher) as client:
        for method, path in INTERNAL:
            refused = await client.request(method, path, headers={"X-API-Key": KEY})
            unknown = await world.client.request(method, path, headers={"X-API-Key": "wrong"})
            nobody = await world.client.request(method, path)
            session = await world.sign_in(await world.database.add_user())
            a_user = await world.client.request(method, path, headers=session)

            statuses = [a.status_code for a in (refused, unknown, nobody, a_user)]
            assert statuses == [503, 401, 401, 401], path
    assert world.publisher.sent == []


_ODD_HEADERS: list[tuple[bytes, bytes]] = [
    (b"authorization", b"\xff\xfe"),
    (b"authorization", b"Bearer \x00"),
    (b"authorization", b"x" * 100_000),
    (b"authorization", b""),
    (b"authorization", b"session-*"),
    (b"signeraddress", b"\xff\xfe"),
    (b"signeraddress", b""),
    (b"signeraddress", b"0x' OR 1=1--"),
    (b"signeraddress", b"y" * 100_000),
]


@on_both_databases
@pytest.mark.parametrize("path", ["/user/allocation", "/predicate/reserved-coins/{}"])
async def test_malformed_credentials_are_no_credentials(world: World, path: str) -> None:
    user = await world.database.add_user()
    right = await world.sign_in(user)
    where = path.format(await world.database.add_predicate(user))
    for name, value in _ODD_HEADERS:
        kept = [(k.encode(), v.encode()) for k, v in right.items() if k.lower() != name.decode()]
        answer = await world.client.get(where, headers=[*kept, (name, value)])
        assert answer.status_code == 401, (name, value[:20])
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await world.get(where, right)).status_code == 200


async def test_credentials_that_are_given_twice_are_none(world: World) -> None:
    user, other = await world.database.add_user(), await world.database.add_user()
    mine, others = await world.sign_in(user), await world.sign_in(other)
    once = list(mine.items())

    for name in mine:
        for second in (mine[name], others[name], ""):
            for headers in ([*once, (name, second)], [(name, second), *once]):
                answer = await world.client.get("/user/allocation", headers=headers)
                assert answer.status_code == 401, headers
    for keys in ((KEY, KEY), (KEY, "wrong"), ("wrong", KEY)):
        for method, path in (("GET", "/internal/cache/stats"), ("GET", "/user/allocation")):
            answer = await world.client.request(
                method, path, headers=[("X-API-Key", key) for key in keys]
            )
            assert answer.status_code == 401, keys
    assert (await world.get("/user/allocation", mine)).status_code == 200


@pytest.mark.parametrize(
    "name", [b"content-length", b"content-type", b"x-forwarded-for", b"accept", b"range"]
)
async def test_other_malformed_headers_break_nothing(world: World, name: bytes) -> None:
    for value in (b"\xff\xfe", b"-1", b"\xb2", b"9" * 5_000, b"multipart/form-data; boundary="):
        answer = await world.client.post(
            "/internal/cache/invalidate",
            content=b'{"predicateAddress": "0x1"}',
            headers=[(b"x-api-key", KEY.encode()), (name, value)],
        )
        assert 400 <= answer.status_code < 500, (name, value[:20], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_huge_body_that_does_not_announce_its_length_is_refused_on_every_path(
    world: World,
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'{"userId": "'
        for _ in range(40):
            yield b"x" * 65_536

    headers = {"X-API-Key": KEY, "Content-Type": "application/json"}
    bodies = ("/cache/invalidate", "/cache/clear", "/cache/warmup", "/events/transaction")
    for path in bodies:
        answer = await world.client.post(f"/internal{path}", content=endless(), headers=headers)
        assert answer.status_code == 413, path
        assert answer.headers["content-type"] == "application/problem+json"


@on_both_databases
@pytest.mark.parametrize(
    "user_id", ["'; DROP TABLE users--", "*", "../x", f"{UUID(int=1)}0", "\u0000", "ü"]
)
async def test_an_id_that_is_none_finds_nobody(world: World, user_id: str) -> None:
    answers = [
        await world.internal("/cache/warmup", {"userId": user_id}),
        await world.internal("/cache/invalidate", {"userId": user_id}),
        await world.client.get(
            "/user/allocation",
            params={"chainId": CHAIN_ID, "userId": user_id},
            headers={"X-API-Key": KEY},
        ),
    ]
    absent = await world.internal("/cache/warmup", {"userId": str(uuid4())})
    assert {answer.status_code for answer in answers} == {404}
    assert {answer.content for answer in answers} == {absent.content}
    workspace = await world.internal("/cache/invalidate", {"workspaceId": user_id})
    assert workspace.json()["data"]["invalidatedCount"] == 0
