"""Each implementation of `BalanceCache` in turn, made with the lives that a test asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from cache.memory import MemoryBalanceCache
from supervisor.valkey import EmbeddedServer
from tests.cache_support import Harness, Make, ManualClock, empty_client, redis_cache
from tests.copy_support import eagerly_copied_cache


@pytest.fixture
def make_in_memory() -> Make:
    clock = ManualClock()
    return lambda **lives: Harness(MemoryBalanceCache(clock, **lives), clock.step)


@pytest.fixture(params=["redis", "hash tags", "local copy", "memory"])
async def make(request: pytest.FixtureRequest, cache_server: EmbeddedServer) -> AsyncIterator[Make]:
    if request.param == "memory":
        yield request.getfixturevalue("make_in_memory")
        return
    caches = []
    client = await empty_client(cache_server)

    def build(**lives: Any) -> Harness:
        make_one = eagerly_copied_cache if request.param == "local copy" else redis_cache
        cache = make_one(client, hash_tags=request.param == "hash tags", **lives)
        caches.append(cache)
        return Harness(cache, lambda: None)

    yield build
    for cache in caches:
        await cache.aclose()
    await client.aclose()
