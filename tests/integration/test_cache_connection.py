"""How a command goes out: at once where the transport takes it, bounded where it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError, ResponseError

from cache.commands import Commands
from cache.connection import connect
from domain.errors import CacheUnavailableError
from supervisor.valkey import EmbeddedServer
from tests.cache_support import hung

MORE_THAN_ANY_BUFFER = bytes(16 * 1024 * 1024)
"""More than a transport and both ends of a socket hold together."""


@pytest.fixture
async def client(cache_server: EmbeddedServer) -> AsyncIterator[Redis]:
    client = connect(cache_server.url())
    yield client
    await client.flushdb()
    await client.aclose()


async def test_a_command_that_no_buffer_holds_arrives_whole(client: Redis) -> None:
    [length, _] = await Commands(client).batch(
        [("APPEND", "large", MORE_THAN_ANY_BUFFER), ("SET", "small", "x")]
    )

    assert length == len(MORE_THAN_ANY_BUFFER)
    assert await client.strlen("large") == length
    assert await client.get("small") == b"x"


async def test_a_connection_that_the_server_has_closed_is_replaced(
    client: Redis, cache_server: EmbeddedServer
) -> None:
    commands = Commands(client)
    [before] = await commands.batch([("CLIENT", "ID")])
    other = connect(cache_server.url())
    await other.client_kill_filter(_id=str(before))
    await other.aclose()

    [after] = await commands.batch([("CLIENT", "ID")])

    assert after != before


async def test_a_write_to_a_server_that_reads_nothing_ends_in_time() -> None:
    server = EmbeddedServer.start()
    client = connect(server.url())
    try:
        await client.ping()
        with hung(server), pytest.raises(CacheUnavailableError, match="TimeoutError"):
            await Commands(client).batch([("SET", "large", MORE_THAN_ANY_BUFFER)])
    finally:
        await client.aclose()
        server.stop()


async def test_each_answer_of_a_batch_is_in_its_place_beside_refusals_and_news(
    client: Redis,
) -> None:
    """They come together; what is here already is read without waiting, whatever it is."""
    answers = await Commands(client).batch(
        [
            ("CLIENT", "TRACKING", "ON"),
            ("SET", "known", "1"),
            ("GET", "known"),
            ("LPUSH", "known", "refused"),
            ("SET", "known", "2"),  # is told of it between the answers
            ("GET", "known"),
            ("GET", "unknown"),
            ("MGET", "known", "unknown"),
            ("STRLEN", "known"),
            ("CLIENT", "TRACKING", "OFF"),
        ]
    )

    assert isinstance(answers[3], ResponseError)
    assert answers[2] == b"1"
    assert answers[5:9] == [b"2", None, [b"2", None], 1]
    assert await client.get("known") == b"2"


async def test_an_answer_that_ends_the_connection_ends_it_though_it_came_with_others(
    client: Redis,
) -> None:
    """A server that begins to load in the middle of a batch serves nothing over this link."""
    pool: Any = client.connection_pool  # redis-py leaves it untyped
    connection = await pool.get_connection()
    try:
        connection._parser._reader.feed(b"+OK\r\n-LOADING the dataset\r\n+OK\r\n")
        assert await connection.read_response() == b"OK"

        with pytest.raises(BusyLoadingError):
            await connection.read_response()

        assert not connection.is_connected
    finally:
        await pool.release(connection)
