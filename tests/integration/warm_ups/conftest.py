"""A shelf of its own for each test, on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from cache.connection import connect
from cache.warm_ups import Shelf, WarmUps
from supervisor.valkey import EmbeddedServer
from tests.warm_up_support import Make


@pytest.fixture
def shelf() -> Shelf:
    """A chain of its own for each test."""
    return Shelf(uuid4().int % 2**63, later=False, request_size=200)


@pytest.fixture
async def make(cache_server: EmbeddedServer) -> AsyncIterator[Make]:
    client = connect(cache_server.url(4))
    yield lambda concurrency=5, **lives: WarmUps(client, concurrency, **lives)
    await client.aclose()


@pytest.fixture
async def redis(cache_server: EmbeddedServer) -> AsyncIterator[Redis]:
    client = connect(cache_server.url(4))
    yield client
    await client.aclose()
