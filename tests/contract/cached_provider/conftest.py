"""`CachedProvider` over the real cache and its twin in memory, and a node that does as told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cache.connection import connect
from cache.memory import MemoryBalanceCache
from provider.cached import CachedProvider
from supervisor.valkey import EmbeddedServer
from tests.cache_support import ALICE, BOB, empty_client, redis_cache
from tests.provider_support import CHAIN, NETWORK, MakeReader, ScriptedProvider


@pytest.fixture(params=["redis", "memory"])
async def cache(request: pytest.FixtureRequest, cache_server: EmbeddedServer) -> AsyncIterator[Any]:
    if request.param == "memory":
        yield MemoryBalanceCache(chain_ids=(CHAIN,), lease_seconds=0.5)
        return
    await (await empty_client(cache_server)).aclose()
    client = connect(cache_server.url())  # a new connection names the history that the flush ended
    store = redis_cache(client, lease_seconds=0.5)
    yield store
    await store.aclose()
    await client.aclose()


@pytest.fixture
def node() -> ScriptedProvider:
    return ScriptedProvider({ALICE: 5, BOB: 7})


@pytest.fixture
async def make_reader(node: ScriptedProvider) -> AsyncIterator[MakeReader]:
    async with AsyncExitStack() as readers:

        def make(cache: Any, **given: Any) -> CachedProvider:
            reader = CachedProvider(NETWORK, node, cache, **given)
            readers.push_async_callback(reader.close)
            return reader

        yield make


@pytest.fixture
def reader(cache: Any, make_reader: MakeReader) -> CachedProvider:
    return make_reader(cache, read_wait_seconds=3)
