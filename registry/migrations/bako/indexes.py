"""The indexes that our queries need and that a Bako database lacks.

A Bako database has most of them. What it lacks is found out on the spot, because deployments
differ; each index is built without blocking writers, and taken back by the downgrade.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from registry.indexes import NEEDED, lacking

revision = "bako_0001"
down_revision = None

_PREFIX = "balance_cache_idx_"


def upgrade() -> None:
    """Add what is lacking; a build that broke off earlier is done again."""
    with op.get_context().autocommit_block():
        for name, table in _broken_builds():
            op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)
        for table, columns in lacking(op.get_bind()):
            name = f"{_PREFIX}{table}_{'_'.join(columns)}"
            op.create_index(name, table, list(columns), postgresql_concurrently=True)


def downgrade() -> None:
    """Drop ours, and no other."""
    with op.get_context().autocommit_block():
        for table in dict.fromkeys(table for table, _ in NEEDED):
            for index in sa.inspect(op.get_bind()).get_indexes(table):
                name = index["name"]
                if name is not None and name.startswith(_PREFIX):
                    op.drop_index(name, table, postgresql_concurrently=True)


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
