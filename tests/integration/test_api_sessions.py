"""Who may read what: users by their sessions, services by their keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.api_support import (
    CHAIN_ID,
    ETH,
    KEY,
    World,
    on_both_databases,
    own_to_none,
)
from tests.databases import bytes32, coin, utc_now


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
    assert own_to_none(foreign) == own_to_none(absent) == own_to_none(deleted)
    assert foreign.headers["content-type"] == "application/problem+json"


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
