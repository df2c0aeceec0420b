"""What several modules share: an empty cache, a simulated node, a database, the started API.

A module that needs another client, cache or node says so with a fixture of its own of that name.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis

from cache.connection import connect
from cache.store import RedisBalanceCache
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from supervisor.valkey import EmbeddedServer
from tests.api_support import CHAIN_ID, World, open_world
from tests.cache_support import Harness, MakeCache, StartServer, empty_client, redis_cache

if TYPE_CHECKING:
    from tasks.publisher import CeleryPublisher
    from tests.worker_support import Site


@pytest.fixture
async def client(cache_server: EmbeddedServer) -> AsyncIterator[Redis]:
    """A client on the emptied database of the private cache server."""
    client = await empty_client(cache_server)
    yield client
    await client.aclose()


@pytest.fixture
async def cache(client: Redis) -> AsyncIterator[RedisBalanceCache]:
    """A store on that database."""
    cache = redis_cache(client)
    yield cache
    await cache.aclose()


@pytest.fixture
async def make_cache() -> AsyncIterator[MakeCache]:
    """More stores, each over a client that is closed with it."""
    async with AsyncExitStack() as made:

        def make(client: Redis, **changes: Any) -> RedisBalanceCache:
            cache = redis_cache(client, **changes)
            made.push_async_callback(cache.aclose)
            return cache

        yield make


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Servers that the test may hurt."""
    with ExitStack() as started:

        def start(**given: Any) -> EmbeddedServer:
            server = EmbeddedServer.start(**given)
            started.callback(end, server)
            return server

        yield start


def end(server: EmbeddedServer) -> None:
    """Stop a server that may be dead or halted."""
    if server.process.poll() is None:
        os.kill(server.process.pid, signal.SIGCONT)
    server.stop()


@pytest.fixture
def own_server(start_server: StartServer, tmp_path: Path) -> EmbeddedServer:
    """A server that the test may hurt. It keeps what `SAVE` writes."""
    return start_server(extra=("--dir", str(tmp_path), "--repl-diskless-sync-delay", "0"))


@pytest.fixture
async def own_client(own_server: EmbeddedServer) -> AsyncIterator[Redis]:
    """A client of that server."""
    client = connect(own_server.url())
    yield client
    await client.aclose()


@pytest.fixture(scope="module")
def module_server() -> Iterator[EmbeddedServer]:
    """A server for one module alone, whose tests may flush it."""
    server = EmbeddedServer.start()
    yield server
    server.stop()


@pytest.fixture
def harness(cache: RedisBalanceCache) -> Harness:
    """That store, and the steps that tests take with it."""
    return Harness(cache, lambda: None)


@pytest.fixture
async def publisher(site: Site) -> AsyncIterator[CeleryPublisher]:
    """What hands tasks to the worker of a module's `site`."""
    from tasks.publisher import open_publisher  # only those who ask for it pay for Celery

    async with open_publisher(site.settings, seconds=5.0) as publisher:
        yield publisher


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
