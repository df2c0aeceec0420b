"""What tests of the API share: a simulated node, a database of either kind, the started parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from supervisor.valkey import EmbeddedServer
from tests.api_support import CHAIN_ID, World, open_world


@pytest.fixture(scope="module")
def node() -> Iterator[DevnetServer]:
    """A node of one chain that makes no block by itself."""
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=CHAIN_ID)) as server:
        yield server


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLite, or PostgreSQL with Bako's tables where a test asks for both."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path}/bako.sqlite3"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def world(
    database_url: str, cache_server: EmbeddedServer, node: DevnetServer
) -> AsyncIterator[World]:
    """The API, started in this process."""
    async with open_world(cache_server.url(), database_url, node) as world:
        yield world
