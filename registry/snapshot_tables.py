"""Our own tables of snapshots, as the newest migration leaves them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, MetaData, String, Table, Text

_METADATA = MetaData()

SNAPSHOTS = Table(
    "balance_cache_snapshots",
    _METADATA,
    Column("chain_id", String(20), primary_key=True),  # a u64: no integer type holds all of them
    Column("address", String(66), primary_key=True),
    # The block at which these balances were first seen, and the last one at which they still held.
    Column("height", BigInteger, primary_key=True, autoincrement=False),
    Column("seen_height", BigInteger, nullable=False),
    Column("taken_at", BigInteger, nullable=False),  # ms, when they were first seen
    Column("seen_at", BigInteger, nullable=False),  # ms, when they were last confirmed
    Column("balances", Text, nullable=False),  # JSON: [[asset id, amount in hex], …]
    Index("balance_cache_snapshots_seen", "seen_at"),
)

READS = Table(
    "balance_cache_reads",
    _METADATA,
    Column("chain_id", String(20), primary_key=True),
    Column("address", String(66), primary_key=True),
    Column("read_at", BigInteger, nullable=False),  # ms, when somebody last looked
    Index("balance_cache_reads_latest", "chain_id", "read_at"),
)
