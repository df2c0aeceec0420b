"""The indexes that our queries need, and which of them a database lacks."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

Index = tuple[str, tuple[str, ...]]
"""A table, and the columns that an index must begin with."""

NEEDED: Sequence[Index] = (
    ("predicates", ("owner_id",)),
    ("predicates", ("workspace_id",)),
    ("predicates", ("predicate_address",)),
    ("predicate_members", ("user_id",)),
    ("transactions", ("predicate_id", "status")),
    ("user_tokens", ("token",)),
)


def lacking(connection: Connection) -> list[Index]:
    """Return those that no whole (not partial) index of the database serves."""
    inspector = sa.inspect(connection)
    return [
        (table, columns)
        for table, columns in NEEDED
        if not any(
            tuple(index["column_names"][: len(columns)]) == columns
            and not index.get("dialect_options", {}).get("postgresql_where")
            for index in inspector.get_indexes(table)
        )
    ]
