"""Our own tables: the last known balances of every vault, and who was looked at."""

from __future__ import annotations

from registry.migrations import snapshot_tables

revision = "bako_0003"
down_revision = "bako_0002"


def upgrade() -> None:
    """Create the tables."""
    snapshot_tables.create()


def downgrade() -> None:
    """Drop them."""
    snapshot_tables.drop()
