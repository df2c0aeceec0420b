"""One step of both histories, written down once: the tables of snapshots, as they began."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

_SNAPSHOTS = "balance_cache_snapshots"
_READS = "balance_cache_reads"


def create() -> None:
    """Create the tables and their indexes."""
    op.create_table(
        _SNAPSHOTS,
        sa.Column("chain_id", sa.String(20), primary_key=True),
        sa.Column("address", sa.String(66), primary_key=True),
        sa.Column("height", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("seen_height", sa.BigInteger, nullable=False),
        sa.Column("taken_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("balances", sa.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_index(f"{_SNAPSHOTS}_seen", _SNAPSHOTS, ["seen_at"], if_not_exists=True)
    op.create_table(
        _READS,
        sa.Column("chain_id", sa.String(20), primary_key=True),
        sa.Column("address", sa.String(66), primary_key=True),
        sa.Column("read_at", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_index(f"{_READS}_latest", _READS, ["chain_id", "read_at"], if_not_exists=True)


def drop() -> None:
    """Drop them."""
    for table in (_SNAPSHOTS, _READS):
        op.drop_table(table, if_exists=True)
