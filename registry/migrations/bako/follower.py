"""Our own table: how far the follower of each chain has come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "bako_0002"
down_revision = "bako_0001"

_TABLE = "balance_cache_follower"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        _TABLE,
        sa.Column("chain_id", sa.String(20), primary_key=True),
        sa.Column("height", sa.BigInteger, nullable=False),
        sa.Column("block_id", sa.String(66), nullable=False),
        sa.Column("origin_height", sa.BigInteger, nullable=False),
        sa.Column("origin_id", sa.String(66), nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
        if_not_exists=True,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table(_TABLE, if_exists=True)
