"""When questions are written: together at the end of a tick, or at once, always in their order."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from cache.tracking_connection import TrackingConnection, pack

ONE, TWO, THREE = (pack(("ECHO", text)) for text in ("one", "two", "three"))


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        """End nothing: there is no socket."""


def connected() -> tuple[TrackingConnection, Transport]:
    connection, transport = TrackingConnection(lambda _: None, lambda: None), Transport()
    connection.connection_made(cast("asyncio.Transport", transport))
    return connection, transport


async def test_what_is_asked_in_one_tick_is_one_write() -> None:
    connection, transport = connected()
    answers: list[Any] = []

    connection.ask_packed(ONE, answers.append)
    connection.ask_packed(TWO + THREE, answers.append, commands=2)
    assert not transport.written
    await asyncio.sleep(0)

    assert transport.written == [ONE + TWO + THREE]
    connection.data_received(b"+one\r\n+two\r\n+three\r\n")
    assert answers == [b"one", [b"two", b"three"]]


async def test_what_goes_at_once_goes_behind_what_was_asked_before() -> None:
    connection, transport = connected()
    answers: list[Any] = []

    connection.ask_packed(ONE, answers.append)
    connection.ask(("ECHO", "two"), answers.append)
    assert transport.written == [ONE + TWO]
    await asyncio.sleep(0)

    assert transport.written == [ONE + TWO]


async def test_the_next_tick_has_a_write_of_its_own() -> None:
    connection, transport = connected()

    for question in (ONE, TWO):
        connection.ask_packed(question, lambda _: None)
        await asyncio.sleep(0)

    assert transport.written == [ONE, TWO]


async def test_nothing_is_written_after_the_end() -> None:
    connection, transport = connected()

    connection.ask_packed(ONE, lambda _: None)
    connection.close()
    connection.ask_packed(TWO, lambda _: None)
    connection.ask(("ECHO", "three"), lambda _: None)
    await asyncio.sleep(0)

    assert not transport.written


async def test_what_is_not_the_protocol_ends_the_link() -> None:
    ends: list[None] = []
    connection = TrackingConnection(lambda _: None, lambda: ends.append(None))
    connection.connection_made(cast("asyncio.Transport", Transport()))

    connection.data_received(b"HTTP/1.1 400 Bad Request\r\n")

    assert not connection.is_open
    assert ends == [None]


async def test_each_group_of_questions_has_its_own_answers() -> None:
    connection, _ = connected()
    first: list[Any] = []
    second: list[Any] = []

    connection.ask_packed(ONE + TWO, first.append, commands=2)
    connection.ask_packed(TWO + THREE, second.append, commands=2)
    connection.data_received(b"+one\r\n+two\r\n+two\r\n+three\r\n")

    assert (first, second) == ([[b"one", b"two"]], [[b"two", b"three"]])


async def test_a_link_that_the_network_ends_is_over_at_once() -> None:
    lost: list[None] = []
    connection = TrackingConnection(lambda _: None, lambda: lost.append(None))
    connection.connection_made(cast("asyncio.Transport", Transport()))

    connection.connection_lost(ConnectionResetError())
    connection.connection_lost(None)

    assert (connection.is_open, lost) == (False, [None])
