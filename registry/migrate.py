"""Running the migrations: two histories, kept apart.

``embedded`` creates Bako's tables from nothing (SQLite, tests). ``bako`` adds to an existing
Bako database only the indexes that our queries need and that it lacks; it touches no row.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

_FOLDER = Path(__file__).parent / "migrations"


async def create_schema(engine: AsyncEngine) -> None:
    """Create all tables in an empty database, or bring those that we made up to date."""
    async with engine.connect() as connection:
        await connection.run_sync(_upgrade, "embedded")


async def add_indexes(engine: AsyncEngine) -> None:
    """Add the indexes that a Bako database lacks, without blocking its writers."""
    async with engine.connect() as connection:
        await connection.run_sync(_upgrade, "bako")


async def remove_indexes(engine: AsyncEngine) -> None:
    """Take back what `add_indexes` added, and nothing else."""
    async with engine.connect() as connection:
        await connection.run_sync(_downgrade, "bako")


def _upgrade(connection: Connection, history: str) -> None:
    command.upgrade(_config(connection, history), "head")


def _downgrade(connection: Connection, history: str) -> None:
    command.downgrade(_config(connection, history), "base")


def _config(connection: Connection, history: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(_FOLDER / history))
    config.attributes["connection"] = connection
    config.attributes["history"] = history
    return config
