"""Whoever cancels a caller of the cache is heeded, at whatever step the cancellation comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from cache.commands import Commands
from cache.connection import connect
from cache.waiting import Endings
from supervisor.valkey import EmbeddedServer

STEPS = 12
"""A command is done after fewer turns of the event loop."""


@pytest.fixture
async def client(cache_server: EmbeddedServer) -> AsyncIterator[Redis]:
    client = connect(cache_server.url())
    await client.ping()  # the pool has a connection: what is met below is the command alone
    yield client
    await client.aclose()


@pytest.mark.parametrize("steps", range(STEPS))
async def test_a_cancelled_command_never_ends_as_if_nothing_had_happened(
    client: Redis, steps: int
) -> None:
    asking = asyncio.ensure_future(Commands(client).batch([("PING",), ("PING",)]))
    for _ in range(steps):
        await asyncio.sleep(0)
    was_under_way = asking.cancel()
    await asyncio.wait({asking})

    assert asking.cancelled() == was_under_way


@pytest.mark.parametrize("steps", range(STEPS))
async def test_who_listens_for_ends_of_leases_can_be_closed_at_any_moment(
    client: Redis, steps: int
) -> None:
    endings = Endings(client)
    subscribing = asyncio.ensure_future(endings.subscribe())
    for _ in range(steps):
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await endings.close()
    subscribing.cancel()
    await asyncio.gather(subscribing, return_exceptions=True)
