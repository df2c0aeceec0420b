"""Databases of their own for tests, and rows as Bako writes them."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import InstrumentedAttribute

from domain.errors import RegistryUnavailableError
from registry.engine import open_engine
from registry.models import Predicate, Transaction, User, UserToken, Workspace, predicate_members
from registry.store import Registry

POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
BAKO_SCHEMA = Path(__file__).with_name("bako_schema.sql")
NETWORK_URL = "https://mainnet.fuel.network/v1/graphql"


async def postgres_answers() -> bool:
    registry = Registry.open(POSTGRES_URL)
    try:
        await registry.check()
    except RegistryUnavailableError:
        return False
    finally:
        await registry.close()
    return True


@asynccontextmanager
async def fresh_postgres() -> AsyncIterator[str]:
    """Create an empty PostgreSQL database and drop it afterwards."""
    name = f"balance_cache_test_{uuid4().hex}"
    await _administer(f'CREATE DATABASE "{name}"')
    try:
        yield f"{POSTGRES_URL.rpartition('/')[0]}/{name}"
    finally:
        await _administer(f'DROP DATABASE "{name}" WITH (FORCE)')


async def _administer(statement: str) -> None:
    engine = open_engine(POSTGRES_URL)
    try:
        async with engine.connect() as connection:
            autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await autocommit.execute(text(statement))
    finally:
        await engine.dispose()


async def create_schema(database_url: str) -> None:
    """Create Bako's tables: those of the embedded default, or in PostgreSQL Bako's very own."""
    if not database_url.startswith("sqlite"):
        await _run_script(database_url, BAKO_SCHEMA.read_text())
        return
    registry = Registry.open(database_url)
    try:
        await registry.create_schema()
    finally:
        await registry.close()


async def _run_script(database_url: str, script: str) -> None:
    engine = open_engine(database_url)
    try:
        async with engine.begin() as connection:
            raw = await connection.get_raw_connection()
            assert raw.driver_connection is not None
            await raw.driver_connection.execute(script)
    finally:
        await engine.dispose()


def bytes32() -> str:
    return "0x" + uuid4().hex + uuid4().hex


def utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


@dataclass
class BakoUser:
    user_id: str = field(default_factory=lambda: str(uuid4()))
    address: str = field(default_factory=bytes32)
    token: str = field(default_factory=bytes32)


class BakoDatabase:
    """Writes rows into Bako's tables; `await close()` at the end."""

    def __init__(self, database_url: str) -> None:
        self.engine: AsyncEngine = open_engine(database_url)

    async def close(self) -> None:
        await self.engine.dispose()

    async def insert(self, table: Any, *rows: dict[str, Any]) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(insert(table), list(rows))

    async def write_json(self, column: InstrumentedAttribute[Any], row_id: str, raw: str) -> None:
        """Write the text of a JSON column as it is, whatever Python thinks of it."""
        is_sqlite = self.engine.dialect.name == "sqlite"
        value = text(":raw" if is_sqlite else "CAST(:raw AS jsonb)").bindparams(raw=raw)
        table = column.class_
        statement = update(table).where(table.id == row_id).values({column.key: value})
        async with self.engine.begin() as connection:
            await connection.execute(statement)

    async def add_user(self, *, inactive: Sequence[str] = (), **columns: Any) -> BakoUser:
        user = BakoUser()
        row = {
            "id": user.user_id,
            "name": f"user-{user.user_id}",
            "address": user.address,
            "settings": {"inactivesPredicates": list(inactive)},
        }
        await self.insert(User, row | columns)
        return user

    async def add_workspace(self, owner: BakoUser) -> str:
        workspace_id = str(uuid4())
        await self.insert(
            Workspace, {"id": workspace_id, "name": "workspace", "owner_id": owner.user_id}
        )
        return workspace_id

    async def add_predicate(
        self, owner: BakoUser, *, members: Sequence[BakoUser] = (), **columns: Any
    ) -> str:
        predicate_id = str(columns.pop("id", uuid4()))
        row = {
            "id": predicate_id,
            "name": "vault",
            "predicate_address": bytes32(),
            "configurable": json.dumps({"SIGNERS": [owner.address], "SIGNATURES_COUNT": 1}),
            "owner_id": owner.user_id,
        }
        await self.insert(Predicate, row | columns)
        if members:
            await self.insert(
                predicate_members,
                *({"predicate_id": predicate_id, "user_id": m.user_id} for m in members),
            )
        return predicate_id

    async def add_transaction(
        self, predicate_id: str, outputs: Any, *, network_url: str = NETWORK_URL, **columns: Any
    ) -> str:
        transaction_id = str(uuid4())
        row = {
            "id": transaction_id,
            "predicate_id": predicate_id,
            "name": "transaction",
            "hash": uuid4().hex * 2,
            "status": "await_requirements",
            "tx_data": {"outputs": outputs},
            "network": {"url": network_url, "chainId": 9889},
        }
        await self.insert(Transaction, row | columns)
        return transaction_id

    async def add_token(self, user: BakoUser, *, lasts: timedelta = timedelta(hours=1)) -> None:
        row = {
            "token": user.token,
            "user_id": user.user_id,
            "workspace_id": await self.add_workspace(user),
            "expired_at": utc_now() + lasts,
            "network": {"url": NETWORK_URL, "chainId": 9889},
        }
        await self.insert(UserToken, row)


def coin(asset_id: str, amount: Any, kind: int = 0) -> dict[str, Any]:
    """An output of a transaction draft, as the SDK writes it."""
    return {"type": kind, "to": bytes32(), "assetId": asset_id, "amount": amount}
