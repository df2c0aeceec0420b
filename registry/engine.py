"""From a database URL to an engine that speaks asyncio."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from domain.errors import ConfigurationError, RegistryUnavailableError

_DRIVERS = {
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}
_CONNECT_SECONDS = 5.0
_STATEMENT_SECONDS = 10.0
_BUSY_MS = 5_000
"""How long a SQLite connection waits for another process's write."""


def asyncio_url(database_url: str) -> URL:
    """Return the URL with the driver that we use.

    ``sslmode``, which libpq's URLs carry, becomes the ``ssl`` that asyncpg understands.

    Raises:
        ConfigurationError: not a PostgreSQL or SQLite URL. The URL stays out of the message,
            because it may carry a password.
    """
    try:
        url = make_url(database_url)
    except ArgumentError:
        raise ConfigurationError("DATABASE_URL: not a database URL") from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise ConfigurationError("DATABASE_URL: expected postgresql://… or sqlite:///…")
    query = dict(url.query)
    if driver == "postgresql+asyncpg" and "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return url.set(drivername=driver, query=query)


def open_engine(
    database_url: str, *, statement_seconds: float | None = _STATEMENT_SECONDS
) -> AsyncEngine:
    """Return an engine; nothing is connected until the first query.

    Args:
        database_url: PostgreSQL or SQLite.
        statement_seconds: how long PostgreSQL may take for one statement; None: as long as it
            needs.

    Raises:
        ConfigurationError: the URL is of no kind that we serve, or names a folder that is not
            there.
    """
    url = asyncio_url(database_url)
    if url.get_backend_name() == "sqlite":
        _check_folder(url)
        engine = create_async_engine(
            url, connect_args={"timeout": _BUSY_MS / 1000}, json_deserializer=_json
        )
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        return engine
    timeouts = {"timeout": _CONNECT_SECONDS, "command_timeout": statement_seconds}
    return create_async_engine(
        url,
        connect_args=timeouts,
        json_deserializer=_json,
        pool_pre_ping=True,
        pool_timeout=_CONNECT_SECONDS,
    )


def _json(raw: str) -> Any:
    """Read a JSON column; what is nested too deeply, or has endless numbers, is its own text.

    Users of Bako write such columns. One odd row must not make the others unreadable.
    """
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw


def _check_folder(url: URL) -> None:
    path = url.database
    if path and path != ":memory:" and not Path(path).parent.is_dir():
        raise ConfigurationError(f"DATABASE_URL: there is no folder {Path(path).parent}")


def _prepare_sqlite(connection: Any, _record: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    # Readers of other processes go on while somebody writes.
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn every failure of the database into ours, without its URL and parameters."""
    try:
        yield
    except DBAPIError as error:
        raise RegistryUnavailableError(
            f"the database failed: {type(error.orig).__name__}"
        ) from None
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        raise RegistryUnavailableError(f"no database: {type(error).__name__}") from None
