"""`GET /predicate/{id}/history`: what a vault held, for whoever may see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.values import Balance, Snapshot, StoredSnapshot
from registry.snapshots import DurableSnapshots
from registry.store import Registry
from tests.api_support import CHAIN_ID, ETH, KEY, World, started
from tests.databases import bytes32


@pytest.fixture
async def durable(world: World) -> AsyncIterator[DurableSnapshots]:
    registry = Registry.open(world.settings.database_url)
    yield registry.durable_snapshots()
    await registry.close()


async def remember(durable: DurableSnapshots, address: str, *points: tuple[int, int]) -> None:
    for height, amount in points:
        balances = (Balance(ETH, amount),) if amount else ()
        snapshot = Snapshot(address, CHAIN_ID, balances, height)
        await durable.write(CHAIN_ID, [StoredSnapshot(snapshot, height * 1_000, version=1)])


async def own_vault(world: World) -> tuple[str, str, dict[str, str]]:
    address, user = bytes32(), await world.database.add_user()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    return address, predicate_id, await world.sign_in(user)


def shown(body: dict[str, Any]) -> list[tuple[int, int, list[str]]]:
    return [
        (p["blockHeight"], p["lastBlockHeight"], [b["amount"] for b in p["balances"]])
        for p in body["points"]
    ]


async def test_a_vaults_changes_are_told_the_newest_first_and_page_by_page(
    world: World, durable: DurableSnapshots
) -> None:
    address, predicate_id, headers = await own_vault(world)
    await remember(durable, address, (5, 1), (9, 1), (12, 0), (20, 255))
    path = f"/predicate/{predicate_id}/history"

    whole = (await world.get(path, headers)).json()
    first = (await world.get(f"{path}?limit=2", headers)).json()
    second = (await world.get(f"{path}?limit=2&before={first['next']}", headers)).json()

    assert shown(whole) == [(20, 20, ["0xff"]), (12, 12, []), (5, 9, ["0x1"])]
    assert shown(first) + shown(second) == shown(whole)
    assert (first["next"], second["next"], whole["next"]) == (12, None, None)
    assert whole["points"][2]["since"] == "1970-01-01T00:00:05.000Z"
    assert whole["points"][2]["until"] == "1970-01-01T00:00:09.000Z"
    assert (whole["predicateId"], whole["address"]) == (predicate_id, address)
    assert (await world.get(f"/api{path}", headers)).json() == whole


async def test_a_page_of_a_vault_with_many_assets_is_cut_where_it_would_take_long(
    world: World, durable: DurableSnapshots
) -> None:
    """One reader's chart must not hold up everybody else's balances."""
    address, predicate_id, headers = await own_vault(world)
    widths = [300] * 8 + [2_500, 2_500] + [300] * 2
    for height, width in enumerate(widths, start=1):
        balances = tuple(Balance(f"0x{n:064x}", height) for n in range(width))
        snapshot = Snapshot(address, CHAIN_ID, balances, height)
        await durable.write(CHAIN_ID, [StoredSnapshot(snapshot, height * 1_000, version=1)])
    path = f"/predicate/{predicate_id}/history?limit=500"

    pages, before = [], ""
    while True:
        page = (await world.get(f"{path}{before}", headers)).json()
        pages.append([(p["blockHeight"], len(p["balances"])) for p in page["points"]])
        if page["next"] is None:
            break
        before = f"&before={page['next']}"

    heights = [height for page in pages for height, _ in page]
    assert heights == list(range(len(widths), 0, -1)), "nothing is left out, nothing comes twice"
    assert [len(page) for page in pages] == [2, 1, 1, 6, 2]
    assert all(sum(width for _, width in page) <= 2_000 for page in pages if len(page) > 1)


async def test_a_vault_that_nothing_is_kept_of_has_an_empty_history(world: World) -> None:
    _, predicate_id, headers = await own_vault(world)

    body = (await world.get(f"/predicate/{predicate_id}/history", headers)).json()

    assert (body["points"], body["next"]) == ([], None)


async def test_a_history_is_its_owners_and_a_services_alone(
    world: World, durable: DurableSnapshots
) -> None:
    address, predicate_id, _ = await own_vault(world)
    await remember(durable, address, (5, 1))
    _, _, stranger = await own_vault(world)
    path = f"/predicate/{predicate_id}/history"

    assert (await world.get(path)).status_code == 401
    assert (await world.get(path, stranger)).status_code == 404
    service = {"X-API-Key": KEY}
    assert shown((await world.get(f"{path}?chainId={CHAIN_ID}", service)).json()) == [
        (5, 5, ["0x1"])
    ]
    for query in ("limit=0", "limit=501", "before=-1", "before=x", "from=1"):
        answer = await world.get(f"{path}?{query}", stranger)
        assert answer.status_code == 422, query


async def test_an_unchanged_history_is_not_sent_again(
    world: World, durable: DurableSnapshots
) -> None:
    address, predicate_id, headers = await own_vault(world)
    await remember(durable, address, (5, 1))
    path = f"/predicate/{predicate_id}/history"
    tag = (await world.get(path, headers)).headers["etag"]

    again = await world.get(path, {**headers, "If-None-Match": tag})
    await remember(durable, address, (6, 2))
    changed = await world.get(path, {**headers, "If-None-Match": tag})

    assert (again.status_code, again.content) == (304, b"")
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


async def test_where_nothing_is_kept_it_says_so(world: World) -> None:
    _, predicate_id, headers = await own_vault(world)
    settings = world.settings.model_copy(update={"durable_enabled": False})
    async with started(settings, world.publisher) as client:
        answer = await client.get(f"/predicate/{predicate_id}/history", headers=headers)

    assert answer.status_code == 503
    assert "DURABLE_ENABLED" in answer.json()["detail"]
