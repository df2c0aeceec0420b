"""Bako's tables, by their names and columns, as far as we read them.

Bako owns them: this service never writes a row of a Bako database. The embedded default creates
the same tables in SQLite. Source of the names: Bako's PostgreSQL schema (TypeORM entities).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import JSON, Column, DateTime, ForeignKey, Index, String, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Json = JSON().with_variant(JSONB(), "postgresql")
Id = Uuid(as_uuid=False)
"""A uuid as text: native in PostgreSQL, 32 hex digits in SQLite."""


def utc_now() -> datetime:
    """Return the time as Bako's columns hold it: UTC, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    """The columns that every entity has; times are UTC without a zone."""

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=lambda: str(uuid4()))
    created_at: Mapped[datetime] = mapped_column(DateTime, default=utc_now)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime, default=utc_now)
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime)


class User(Base):
    """Somebody who signs in; ``settings.inactivesPredicates`` lists vaults put out of sight."""

    __tablename__ = "users"

    name: Mapped[str | None] = mapped_column(String, unique=True)
    address: Mapped[str] = mapped_column(String, unique=True)
    type: Mapped[str] = mapped_column(String, default="FUEL")
    provider: Mapped[str] = mapped_column(String, default="")
    avatar: Mapped[str | None] = mapped_column(String)
    email: Mapped[str | None] = mapped_column(String)
    active: Mapped[bool] = mapped_column(default=True)
    notify: Mapped[bool] = mapped_column(default=False)
    first_login: Mapped[bool] = mapped_column(default=True)
    webauthn: Mapped[Any | None] = mapped_column(Json)
    settings: Mapped[Any | None] = mapped_column(Json, default=lambda: {"inactivesPredicates": []})


class Workspace(Base):
    """A group of users and their vaults; each user has a single one of his own."""

    __tablename__ = "workspace"

    name: Mapped[str] = mapped_column(String)
    description: Mapped[str | None] = mapped_column(String)
    avatar: Mapped[str | None] = mapped_column(String)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    single: Mapped[bool] = mapped_column(default=False)
    permissions: Mapped[Any] = mapped_column(JSON, default=dict)


workspace_users = Table(
    "workspace_users",
    Base.metadata,
    Column("workspace_id", Id, ForeignKey("workspace.id"), nullable=False),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
)


class Predicate(Base):
    """A vault. It has one address on every chain; no constraint makes addresses unique."""

    __tablename__ = "predicates"
    __table_args__ = (
        Index("idx_predicates_owner", "owner_id"),
        Index("idx_predicates_workspace", "workspace_id"),
        Index("idx_predicates_predicate_address", "predicate_address"),
    )

    name: Mapped[str] = mapped_column(String)
    predicate_address: Mapped[str] = mapped_column(String)
    description: Mapped[str | None] = mapped_column(String)
    configurable: Mapped[str] = mapped_column(Text)
    root: Mapped[bool] = mapped_column(default=False)
    version: Mapped[str | None] = mapped_column(String)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    workspace_id: Mapped[str | None] = mapped_column(ForeignKey("workspace.id"))


predicate_members = Table(
    "predicate_members",
    Base.metadata,
    Column("predicate_id", Id, ForeignKey("predicates.id"), nullable=False),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Index("idx_predicate_members_user", "user_id"),
)


class Transaction(Base):
    """A transaction of a vault, from its draft on; two columns have camel-case names."""

    __tablename__ = "transactions"
    __table_args__ = (
        Index("idx_transactions_predicate_status", "predicate_id", "status"),
        Index("idx_transactions_created_by", "created_by"),
    )

    predicate_id: Mapped[str] = mapped_column(ForeignKey("predicates.id"))
    created_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(String)
    hash: Mapped[str] = mapped_column(String)
    type: Mapped[str | None] = mapped_column(String)
    status: Mapped[str] = mapped_column(String)
    tx_data: Mapped[Any] = mapped_column(Json)
    resume: Mapped[Any] = mapped_column(Json, default=dict)
    summary: Mapped[Any | None] = mapped_column(Json)
    network: Mapped[Any | None] = mapped_column(Json)
    send_time: Mapped[datetime | None] = mapped_column("sendTime", DateTime)
    gas_used: Mapped[str | None] = mapped_column("gasUsed", String)
    retry_attempts: Mapped[Any | None] = mapped_column(Json)


class UserToken(Base):
    """A session that outlives Redis: the token is the signature of the login."""

    __tablename__ = "user_tokens"

    token: Mapped[str] = mapped_column(String)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), unique=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspace.id"))
    encoder: Mapped[str] = mapped_column(String, default="FUEL")
    payload: Mapped[str] = mapped_column(Text, default="")
    expired_at: Mapped[datetime | None] = mapped_column(DateTime)
    network: Mapped[Any | None] = mapped_column(Json)
