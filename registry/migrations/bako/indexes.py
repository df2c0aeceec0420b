"""The indexes that our queries need and that a Bako database lacks.

A Bako database has most of them. What it lacks is found out on the spot, because deployments
differ; each index is built without blocking writers, and taken back by the downgrade.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "bako_0001"
down_revision = None

_PREFIX = "balance_cache_idx_"
_NEEDED = (
    ("predicates", ("owner_id",)),
    ("predicates", ("workspace_id",)),
    ("predicates", ("predicate_address",)),
    ("predicate_members", ("user_id",)),
    ("transactions", ("predicate_id", "status")),
    ("user_tokens", ("token",)),
)


def upgrade() -> None:
    """Add what is lacking; a build that broke off earlier is done again."""
    with op.get_context().autocommit_block():
        for name, table in _broken_builds():
            op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)
        for table, columns in _NEEDED:
            if not _is_served(table, columns):
                name = f"{_PREFIX}{table}_{'_'.join(columns)}"
                op.create_index(name, table, list(columns), postgresql_concurrently=True)


def downgrade() -> None:
    """Drop ours, and no other."""
    with op.get_context().autocommit_block():
        for table in dict.fromkeys(table for table, _ in _NEEDED):
            for index in sa.inspect(op.get_bind()).get_indexes(table):
                name = index["name"]
                if name is not None and name.startswith(_PREFIX):
                    op.drop_index(name, table, postgresql_concurrently=True)


def _is_served(table: str, columns: tuple[str, ...]) -> bool:
    """Tell whether a whole (not partial) index begins with these columns."""
    return any(
        tuple(index["column_names"][: len(columns)]) == columns
        and not index.get("dialect_options", {}).get("postgresql_where")
        for index in sa.inspect(op.get_bind()).get_indexes(table)
    )


def _broken_builds() -> list[tuple[str, str]]:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return []
    statement = sa.text(
        "SELECT i.relname, t.relname FROM pg_index x"
        " JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid"
        " WHERE NOT x.indisvalid AND i.relname LIKE :ours"
    )
    rows = connection.execute(statement, {"ours": f"{_PREFIX}%"})
    return [(row[0], row[1]) for row in rows]
