"""Running the migrations: two histories, kept apart.

``embedded`` creates Bako's tables from nothing (SQLite, tests). ``bako`` adds to an existing
Bako database only the indexes that our queries need and that it lacks; it touches no row.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from registry.engine import database_errors, open_engine

_FOLDER = Path(__file__).parent / "migrations"


async def create_schema(engine: AsyncEngine) -> None:
    """Create all tables in an empty database, or bring those that we made up to date."""
    async with engine.connect() as connection:
        await connection.run_sync(_upgrade, "embedded")


async def add_indexes(database_url: str) -> None:
    """Add the indexes that a Bako database lacks, without blocking its writers.

    Takes as long as the tables are large; no statement is cut short.

    Raises:
        ConfigurationError: the URL is of no kind that we serve.
        RegistryUnavailableError: the database does not answer, or has not Bako's tables.
    """
    await _run(database_url, _upgrade)


async def remove_indexes(database_url: str) -> None:
    """Take back what `add_indexes` added, and nothing else.

    Raises:
        ConfigurationError: the URL is of no kind that we serve.
        RegistryUnavailableError: the database does not answer, or has not Bako's tables.
    """
    await _run(database_url, _downgrade)


async def _run(database_url: str, step: Callable[[Connection, str], None]) -> None:
    engine = open_engine(database_url, statement_seconds=None)
    try:
        with database_errors():
            async with engine.connect() as connection:
                await connection.run_sync(step, "bako")
    finally:
        await engine.dispose()


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
