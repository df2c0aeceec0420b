"""The last known balances in the database, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from domain.values import Address, Balance, Snapshot, StoredSnapshot
from registry.migrate import add_indexes
from registry.snapshots import DurableSnapshots
from registry.store import Registry
from tests.conftest import require
from tests.databases import bytes32, create_schema, fresh_postgres, postgres_answers

CHAIN_ID = 2**64 - 1
ETH = "0x" + "f8" * 32
NFT = "0x" + "cc" * 32


@pytest.fixture(params=["sqlite", "postgresql"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DurableSnapshots]:
    """On SQLite as it is created from nothing, in PostgreSQL as it is added to Bako's tables."""
    async with AsyncExitStack() as stack:
        url = f"sqlite:///{tmp_path}/kept.sqlite3"
        if request.param == "postgresql":
            require(await postgres_answers(), "PostgreSQL")
            url = await stack.enter_async_context(fresh_postgres())
        await create_schema(url)
        if request.param == "postgresql":
            await add_indexes(url)
        registry = Registry.open(url)
        stack.push_async_callback(registry.close)
        yield registry.durable_snapshots()


def stored(
    address: Address, height: int, amount: int, *, at_ms: int = 1_000, chain_id: int = CHAIN_ID
) -> StoredSnapshot:
    balances = (Balance(NFT, 1), Balance(ETH, amount)) if amount else ()
    return StoredSnapshot(Snapshot(address, chain_id, balances, height), at_ms, version=7)


async def newest(kept: DurableSnapshots, address: Address) -> StoredSnapshot | None:
    return (await kept.last_known(CHAIN_ID, [address])).get(address)


async def test_what_was_written_is_read_back_and_the_unknown_is_unknown(
    kept: DurableSnapshots,
) -> None:
    vault, empty, unknown = bytes32(), bytes32(), bytes32()

    assert await kept.write(CHAIN_ID, [stored(vault, 5, 2**128 - 1), stored(empty, 5, 0)]) == 2

    found = await kept.last_known(CHAIN_ID, [vault, empty, unknown])
    assert found == {
        vault: replace(stored(vault, 5, 2**128 - 1), version=0),
        empty: replace(stored(empty, 5, 0), version=0),
    }
    assert await kept.last_known(9, [vault]) == {}


async def test_what_did_not_change_is_confirmed_and_what_changed_is_a_new_point(
    kept: DurableSnapshots,
) -> None:
    vault = bytes32()
    for height, amount in ((5, 1), (8, 1), (12, 3), (20, 3), (21, 1)):
        await kept.write(CHAIN_ID, [stored(vault, height, amount, at_ms=height * 1_000)])

    points = await kept.history(CHAIN_ID, vault)

    assert [(p.height, p.seen_height, p.balances[1].amount) for p in points] == [
        (21, 21, 1),
        (12, 20, 3),
        (5, 8, 1),
    ]
    assert [(p.taken_at_ms, p.seen_at_ms) for p in points] == [
        (21_000, 21_000),
        (12_000, 20_000),
        (5_000, 8_000),
    ]
    assert [p.height for p in await kept.history(CHAIN_ID, vault, before=21, limit=1)] == [12]


async def test_heights_never_go_back_and_the_same_twice_is_no_news(
    kept: DurableSnapshots,
) -> None:
    vault = bytes32()
    await kept.write(CHAIN_ID, [stored(vault, 10, 5)])

    assert await kept.write(CHAIN_ID, [stored(vault, 9, 4)]) == 0
    assert await kept.write(CHAIN_ID, [stored(vault, 10, 5)]) == 0
    assert await kept.write(CHAIN_ID, [stored(vault, 10, 6)]) == 1  # read again at the same bound

    found = await newest(kept, vault)
    assert found is not None
    assert (found.snapshot.height, found.snapshot.balances[1].amount) == (10, 6)
    assert len(await kept.history(CHAIN_ID, vault)) == 1


async def test_many_are_written_and_read_in_portions(kept: DurableSnapshots) -> None:
    vaults = [bytes32() for _ in range(1_203)]

    assert await kept.write(CHAIN_ID, [stored(v, 3, 1) for v in vaults]) == len(vaults)
    assert set(await kept.last_known(CHAIN_ID, vaults)) == set(vaults)


async def test_who_was_read_last_comes_first(kept: DurableSnapshots) -> None:
    early, late, old = bytes32(), bytes32(), bytes32()
    await kept.note_reads(77, {early: 2_000, late: 2_001, old: 10})
    await kept.note_reads(77, {early: 5_000})

    assert await kept.lately_read(77, 1_000, 10) == [early, late]
    assert await kept.lately_read(77, 1_000, 1) == [early]
    assert await kept.lately_read(78, 0, 10) == []


async def test_old_points_are_forgotten_and_the_newest_of_each_vault_stays(
    kept: DurableSnapshots,
) -> None:
    vault, other = bytes32(), bytes32()
    for height in range(1, 8):
        await kept.write(CHAIN_ID, [stored(vault, height, height, at_ms=height)])
    await kept.write(CHAIN_ID, [stored(other, 1, 1, at_ms=1)])

    while await kept.prune(100, 3):
        pass

    assert [p.height for p in await kept.history(CHAIN_ID, vault)] == [7]
    assert [p.height for p in await kept.history(CHAIN_ID, other)] == [1]
