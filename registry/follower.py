"""How far the follower of each chain has come, for the day on which Redis has lost it.

Our own table, and the only one that this service writes. A database that lacks it (nobody ran
``add-indexes``) costs no more than that day's memory.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import BigInteger, Column, DateTime, MetaData, String, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.blocks import BlockMark
from domain.values import ChainId
from registry.engine import database_errors

TABLE = Table(
    "balance_cache_follower",
    MetaData(),
    Column("chain_id", String(20), primary_key=True),  # a u64: no integer type holds all of them
    Column("height", BigInteger, nullable=False),
    Column("block_id", String(66), nullable=False),
    Column("origin_height", BigInteger, nullable=False),
    Column("origin_id", String(66), nullable=False),
    Column("updated_at", DateTime, nullable=False),
)


class DurableCursors:
    """Cursors in the database. Every method raises `RegistryUnavailableError`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def load(self, chain_id: ChainId) -> tuple[BlockMark, BlockMark] | None:
        """Return the cursor and the chain's origin; None: there is none."""
        statement = select(TABLE).where(TABLE.c.chain_id == str(chain_id))
        with database_errors():
            async with self._engine.connect() as connection:
                row = (await connection.execute(statement)).first()
        if row is None:
            return None
        cursor = BlockMark(row.height, row.block_id)
        return cursor, BlockMark(row.origin_height, row.origin_id)

    async def save(self, chain_id: ChainId, cursor: BlockMark, origin: BlockMark) -> None:
        """Write the cursor and the origin of a chain."""
        values = {
            "height": cursor.height,
            "block_id": cursor.block_id,
            "origin_height": origin.height,
            "origin_id": origin.block_id,
            "updated_at": datetime.now(UTC).replace(tzinfo=None),
        }
        changed = update(TABLE).where(TABLE.c.chain_id == str(chain_id)).values(values)
        with database_errors():
            async with self._engine.begin() as connection:
                if (await connection.execute(changed)).rowcount == 0:
                    await connection.execute(insert(TABLE).values(chain_id=str(chain_id), **values))
