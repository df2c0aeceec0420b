"""Bako's tables, as this service reads them.

Written out rather than taken from the models, so that a later change of the models needs a
migration of its own.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "embedded_0001"
down_revision = None

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_ID = sa.Uuid(as_uuid=False)


def _entity(name: str, *columns: sa.Column[object] | sa.Constraint) -> None:
    now = sa.text("CURRENT_TIMESTAMP")
    op.create_table(
        name,
        sa.Column("id", _ID, primary_key=True),
        sa.Column("created_at", sa.DateTime, nullable=False, server_default=now),
        sa.Column("updated_at", sa.DateTime, server_default=now),
        sa.Column("deleted_at", sa.DateTime),
        *columns,
    )


def _pair(name: str, left: str, left_table: str) -> None:
    op.create_table(
        name,
        sa.Column(left, _ID, sa.ForeignKey(f"{left_table}.id"), nullable=False),
        sa.Column("user_id", _ID, sa.ForeignKey("users.id"), nullable=False),
    )


def upgrade() -> None:
    """Create the tables and the indexes that Bako has."""
    _create_users_and_workspaces()
    _create_predicates()
    _create_transactions()
    _create_tokens()


def _create_users_and_workspaces() -> None:
    _entity(
        "users",
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("address", sa.String, nullable=False, unique=True),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("provider", sa.String),
        sa.Column("avatar", sa.String),
        sa.Column("email", sa.String),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("notify", sa.Boolean, nullable=False),
        sa.Column("first_login", sa.Boolean, nullable=False),
        sa.Column("webauthn", _JSON),
        sa.Column("settings", _JSON),
    )
    _entity(
        "workspace",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("description", sa.String),
        sa.Column("avatar", sa.String),
        sa.Column("owner_id", _ID, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("single", sa.Boolean, nullable=False),
        sa.Column("permissions", sa.JSON),
    )
    _pair("workspace_users", "workspace_id", "workspace")


def _create_predicates() -> None:
    _entity(
        "predicates",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("predicate_address", sa.String, nullable=False),
        sa.Column("description", sa.String),
        sa.Column("configurable", sa.Text, nullable=False),
        sa.Column("root", sa.Boolean, nullable=False),
        sa.Column("version", sa.String),
        sa.Column("owner_id", _ID, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("workspace_id", _ID, sa.ForeignKey("workspace.id")),
    )
    op.create_index("idx_predicates_owner", "predicates", ["owner_id"])
    op.create_index("idx_predicates_workspace", "predicates", ["workspace_id"])
    op.create_index("idx_predicates_predicate_address", "predicates", ["predicate_address"])
    _pair("predicate_members", "predicate_id", "predicates")
    op.create_index("idx_predicate_members_user", "predicate_members", ["user_id"])


def _create_transactions() -> None:
    _entity(
        "transactions",
        sa.Column("predicate_id", _ID, sa.ForeignKey("predicates.id")),
        sa.Column("created_by", _ID, sa.ForeignKey("users.id")),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("type", sa.String),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("tx_data", _JSON),
        sa.Column("resume", _JSON),
        sa.Column("summary", _JSON),
        sa.Column("network", _JSON),
        sa.Column("sendTime", sa.DateTime),
        sa.Column("gasUsed", sa.String),
        sa.Column("retry_attempts", _JSON),
    )
    op.create_index("idx_transactions_predicate_status", "transactions", ["predicate_id", "status"])
    op.create_index("idx_transactions_created_by", "transactions", ["created_by"])


def _create_tokens() -> None:
    _entity(
        "user_tokens",
        sa.Column("token", sa.String, nullable=False),
        sa.Column("user_id", _ID, sa.ForeignKey("users.id"), nullable=False, unique=True),
        sa.Column("workspace_id", _ID, sa.ForeignKey("workspace.id")),
        sa.Column("encoder", sa.String),
        sa.Column("payload", sa.String),
        sa.Column("expired_at", sa.DateTime),
        sa.Column("network", _JSON),
    )


def downgrade() -> None:
    """Drop the tables."""
    for name in (
        "user_tokens",
        "transactions",
        "predicate_members",
        "predicates",
        "workspace_users",
        "workspace",
        "users",
    ):
        op.drop_table(name)
