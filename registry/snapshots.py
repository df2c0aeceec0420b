"""The last known balances of every vault, in the database, for the day on which Redis loses them.

A row stands for balances that did not change between two blocks, so that the same table is a
history. Of all this only the reading of what the cache does not know is on a request path.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Row,
    and_,
    delete,
    exists,
    func,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.values import Address, Balance, BlockHeight, ChainId, Snapshot, StoredSnapshot
from registry.engine import database_errors
from registry.snapshot_tables import READS, SNAPSHOTS

_PORTION = 500


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """Balances that held between two blocks.

    Attributes:
        height: the block at which they were first seen.
        seen_height: the last block at which they were seen to hold.
        taken_at_ms: when they were first seen.
        seen_at_ms: when they were last seen to hold.
        balances: what the vault held.
    """

    height: BlockHeight
    seen_height: BlockHeight
    taken_at_ms: int
    seen_at_ms: int
    balances: tuple[Balance, ...]


class DurableSnapshots:
    """Snapshots in the database. Every method raises `RegistryUnavailableError`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._is_postgresql = engine.dialect.name == "postgresql"
        self._insert = postgresql.insert if self._is_postgresql else sqlite.insert

    async def write(self, chain_id: ChainId, stored: Sequence[StoredSnapshot]) -> int:
        """Keep snapshots of one chain; return how many of them were news.

        What did not change is confirmed in its row. A snapshot from before what is kept (another
        process was faster) is no news. Writing the same twice does no harm.
        """
        news = 0
        for at in range(0, len(stored), _PORTION):
            portion = {one.snapshot.address: one for one in stored[at : at + _PORTION]}
            with database_errors():
                async with self._engine.begin() as connection:
                    if self._is_postgresql:
                        # A plan that was made while the table was empty would read all of it.
                        await connection.execute(
                            text("SET LOCAL plan_cache_mode = force_custom_plan")
                        )
                    news += await self._write(connection, chain_id, portion)
        return news

    async def _write(
        self,
        connection: AsyncConnection,
        chain_id: ChainId,
        stored: Mapping[Address, StoredSnapshot],
    ) -> int:
        kept = {row.address: row for row in await self._latest(connection, chain_id, stored)}
        added, confirmed = [], []
        # In one order, whoever writes: two writers never wait for each other's rows.
        for address, one in sorted(stored.items()):
            row, balances = kept.get(address), _to_text(one.snapshot.balances)
            if row is not None and row.seen_height > one.snapshot.height:
                continue
            new = _new_row(one, balances)
            if row is not None and row.balances == balances:
                confirmed.append({**new, "height": row.height, "taken_at": row.taken_at})
            else:
                added.append(new)
        await self._upsert(connection, confirmed, ("seen_height", "seen_at"))
        await self._upsert(connection, added, ("seen_height", "taken_at", "seen_at", "balances"))
        return len(added)

    async def _upsert(
        self,
        connection: AsyncConnection,
        rows: Sequence[Mapping[str, object]],
        changed: Sequence[str],
    ) -> None:
        """Insert rows in one statement; of those that are there change columns, never backwards."""
        if not rows:
            return
        insert = self._insert(SNAPSHOTS).values(list(rows))
        await connection.execute(
            insert.on_conflict_do_update(
                index_elements=[SNAPSHOTS.c.chain_id, SNAPSHOTS.c.address, SNAPSHOTS.c.height],
                set_={name: insert.excluded[name] for name in changed},
                where=SNAPSHOTS.c.seen_height <= insert.excluded.seen_height,
            )
        )

    async def last_known(
        self, chain_id: ChainId, addresses: Collection[Address]
    ) -> Mapping[Address, StoredSnapshot]:
        """Return the newest of what is kept; who was never kept has no place in the answer."""
        found: dict[Address, StoredSnapshot] = {}
        wanted = list(addresses)
        with database_errors():
            async with self._reading.connect() as connection:
                for at in range(0, len(wanted), _PORTION):
                    rows = await self._latest(connection, chain_id, wanted[at : at + _PORTION])
                    found |= {row.address: _stored(chain_id, row) for row in rows}
        return found

    async def note_reads(self, chain_id: ChainId, read_at_ms: Mapping[Address, int]) -> None:
        """Keep who was looked at, and when: they are warmed first after a loss."""
        rows = [
            {"chain_id": str(chain_id), "address": address, "read_at": at}
            for address, at in read_at_ms.items()
        ]
        insert = self._insert(READS)
        statement = insert.on_conflict_do_update(
            index_elements=[READS.c.chain_id, READS.c.address],
            set_={"read_at": insert.excluded.read_at},
        )
        with database_errors():
            for at in range(0, len(rows), _PORTION):
                async with self._engine.begin() as connection:
                    await connection.execute(statement, rows[at : at + _PORTION])

    async def lately_read(self, chain_id: ChainId, since_ms: int, limit: int) -> Sequence[Address]:
        """Return who was looked at since then, the latest first."""
        statement = (
            select(READS.c.address)
            .where(READS.c.chain_id == str(chain_id), READS.c.read_at >= since_ms)
            .order_by(READS.c.read_at.desc())
            .limit(limit)
        )
        with database_errors():
            async with self._reading.connect() as connection:
                return list((await connection.execute(statement)).scalars())

    async def history(
        self,
        chain_id: ChainId,
        address: Address,
        *,
        before: BlockHeight | None = None,
        limit: int = 100,
        most_balances: int | None = None,
    ) -> Sequence[HistoryPoint]:
        """Return what a vault held, the newest first; `before` goes on with an earlier page.

        With `most_balances` the point with which they are exceeded is the last one, or the second
        where the first exceeds them alone: reading more of a wide vault would hold up everybody.
        """
        statement = (
            select(SNAPSHOTS)
            .where(SNAPSHOTS.c.chain_id == str(chain_id), SNAPSHOTS.c.address == address)
            .order_by(SNAPSHOTS.c.height.desc())
            .limit(limit)
        )
        if before is not None:
            statement = statement.where(SNAPSHOTS.c.height < before)
        with database_errors():
            async with self._reading.connect() as connection:
                rows = (await connection.execute(statement)).all()
        points: list[HistoryPoint] = []
        read = 0
        for row in rows:
            balances = _from_text(row.balances)
            points.append(
                HistoryPoint(row.height, row.seen_height, row.taken_at, row.seen_at, balances)
            )
            read += len(balances)
            if most_balances is not None and read > most_balances and len(points) > 1:
                break
        return points

    async def prune(self, before_ms: int, limit: int) -> int:
        """Forget up to `limit` rows that ended before then; the newest of a vault always stays."""
        newer = SNAPSHOTS.alias("newer")
        is_superseded = exists().where(
            newer.c.chain_id == SNAPSHOTS.c.chain_id,
            newer.c.address == SNAPSHOTS.c.address,
            newer.c.height > SNAPSHOTS.c.height,
        )
        key = (SNAPSHOTS.c.chain_id, SNAPSHOTS.c.address, SNAPSHOTS.c.height)
        old = select(*key).where(SNAPSHOTS.c.seen_at < before_ms, is_superseded).limit(limit)
        with database_errors():
            async with self._engine.begin() as connection:
                found = (await connection.execute(old)).all()
                if found:
                    keys = [tuple(row) for row in found]
                    await connection.execute(delete(SNAPSHOTS).where(tuple_(*key).in_(keys)))
        return len(found)

    async def forget(self, chain_id: ChainId, addresses: Sequence[Address]) -> None:
        """Forget what is kept of these on one chain, their history too."""
        with database_errors():
            for at in range(0, len(addresses), _PORTION):
                portion = list(addresses[at : at + _PORTION])
                async with self._engine.begin() as connection:
                    await connection.execute(
                        delete(SNAPSHOTS).where(
                            SNAPSHOTS.c.chain_id == str(chain_id),
                            SNAPSHOTS.c.address.in_(portion),
                        )
                    )

    async def forget_chain(self, chain_id: ChainId) -> None:
        """Forget all of a chain that was begun anew: its heights mean something else now."""
        with database_errors():
            async with self._engine.begin() as connection:
                await connection.execute(
                    delete(SNAPSHOTS).where(SNAPSHOTS.c.chain_id == str(chain_id))
                )

    async def _latest(
        self, connection: AsyncConnection, chain_id: ChainId, addresses: Iterable[Address]
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        asked = (SNAPSHOTS.c.chain_id == str(chain_id)) & SNAPSHOTS.c.address.in_(list(addresses))
        if self._is_postgresql:
            # Walks the key alone, whatever the statistics of a table say that has just grown.
            statement = (
                select(SNAPSHOTS)
                .where(asked)
                .ext(postgresql.distinct_on(SNAPSHOTS.c.address))
                .order_by(SNAPSHOTS.c.address, SNAPSHOTS.c.height.desc())
            )
            return (await connection.execute(statement)).all()
        highest = (
            select(SNAPSHOTS.c.address, func.max(SNAPSHOTS.c.height).label("height"))
            .where(SNAPSHOTS.c.chain_id == str(chain_id), SNAPSHOTS.c.address.in_(list(addresses)))
            .group_by(SNAPSHOTS.c.address)
            .subquery()
        )
        statement = select(SNAPSHOTS).join(
            highest,
            and_(
                SNAPSHOTS.c.chain_id == str(chain_id),
                SNAPSHOTS.c.address == highest.c.address,
                SNAPSHOTS.c.height == highest.c.height,
            ),
        )
        return (await connection.execute(statement)).all()


def _new_row(stored: StoredSnapshot, balances: str) -> dict[str, object]:
    snapshot = stored.snapshot
    return {
        "chain_id": str(snapshot.chain_id),
        "address": snapshot.address,
        "height": snapshot.height,
        "seen_height": snapshot.height,
        "taken_at": stored.timestamp_ms,
        "seen_at": stored.timestamp_ms,
        "balances": balances,
    }


def _stored(chain_id: ChainId, row: Row[*tuple[Any, ...]]) -> StoredSnapshot:
    balances = _from_text(row.balances)
    snapshot = Snapshot(row.address, chain_id, balances, height=row.seen_height)
    return StoredSnapshot(snapshot, timestamp_ms=row.seen_at, version=0)


def _to_text(balances: Iterable[Balance]) -> str:
    return json.dumps([[b.asset_id, hex(b.amount)] for b in balances], separators=(",", ":"))


def _from_text(text: str) -> tuple[Balance, ...]:
    return tuple(Balance(asset_id, int(amount, 16)) for asset_id, amount in json.loads(text))
