"""What a copy asks for after a read, and what it no longer asks for: with a link of no server."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from cache.local_copy import LocalCopy
from cache.tracking_connection import TrackingConnection
from domain.values import Fresh, ReadAnswer, Stale, StaleReason, StoredSnapshot
from tests.cache_support import ALICE, MAINNET, snapshot
from tests.unit.cache.test_copies import NOW_MS, value

PLACE = (MAINNET, ALICE)


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        """End nothing: there is no socket."""


class Linked(LocalCopy):
    """A copy whose link is there from the beginning and leads nowhere."""

    def __init__(self) -> None:
        super().__init__(Redis(port=1), most_vaults=10)
        self.transport = Transport()
        self.link = TrackingConnection(self._changed, self._copies.lost)
        self.link.connection_made(cast("asyncio.Transport", self.transport))
        self._connection = self.link

    def _begin(self) -> None:
        """It has begun."""

    def read(self, answer: ReadAnswer, times: int = 1) -> None:
        for _ in range(times):
            self.learn(MAINNET, {ALICE: answer})

    @property
    def held(self) -> list[str]:
        return list(self.take(MAINNET, [ALICE], NOW_MS))

    async def answer(self, raw: bytes | None) -> None:
        """Let the question of this tick go, and answer it."""
        await asyncio.sleep(0)
        self.link.data_received(resp([b"here", raw, None, None]))


def resp(texts: list[bytes | None]) -> bytes:
    parts = [b"$-1\r\n" if text is None else b"$%d\r\n%s\r\n" % (len(text), text) for text in texts]
    return b"*%d\r\n%s" % (len(texts), b"".join(parts))


def fresh(version: int = 1, **changes: Any) -> Fresh:
    return Fresh(StoredSnapshot(snapshot(ALICE), NOW_MS, version), 0, **changes)


@pytest.fixture
async def copy() -> Linked:
    return Linked()


async def test_what_is_read_twice_is_copied_and_what_is_read_once_is_not(copy: Linked) -> None:
    copy.read(fresh())
    await asyncio.sleep(0)
    assert not copy.transport.written

    copy.read(fresh())
    await copy.answer(value(1))

    assert len(copy.transport.written) == 1
    assert copy.held == [ALICE]


async def test_what_is_held_or_due_is_not_asked_for(copy: Linked) -> None:
    copy.read(fresh(due=True), times=3)
    await asyncio.sleep(0)
    assert not copy.transport.written
    copy.read(fresh(), times=2)
    await copy.answer(value(1))

    copy.read(fresh())
    await asyncio.sleep(0)

    assert len(copy.transport.written) == 1


async def test_the_newest_version_that_was_read_is_the_least_that_is_copied(copy: Linked) -> None:
    copy.read(fresh(2), times=2)
    copy.read(fresh(1))

    await copy.answer(value(1))

    assert copy.held == []


async def test_what_is_seen_stale_is_dropped_and_no_longer_asked_for(copy: Linked) -> None:
    stale = Stale(fresh().stored, 0, StaleReason.INVALIDATED)
    copy.read(fresh(), times=2)
    await copy.answer(value(1))

    copy.read(stale)
    assert copy.held == []
    copy.read(fresh())
    copy.read(stale)
    await asyncio.sleep(0)

    assert len(copy.transport.written) == 1


async def test_an_answer_does_not_bring_back_what_was_seen_stale(copy: Linked) -> None:
    copy.read(fresh(), times=2)
    await asyncio.sleep(0)

    copy.read(Stale(fresh().stored, 0, StaleReason.INVALIDATED))
    await copy.answer(value(1))

    assert copy.held == []


async def test_a_link_that_ends_before_the_question_is_asked_nothing(copy: Linked) -> None:
    copy.read(fresh(), times=2)

    copy.link.close()
    await asyncio.sleep(0)

    assert not copy.transport.written
    assert copy._copies.silence() == 0, "nobody waits for an answer"


async def test_a_server_that_refuses_to_answer_loses_its_link(copy: Linked) -> None:
    copy.read(fresh(), times=2)
    await asyncio.sleep(0)

    copy.link.data_received(b"-LOADING it reads its file\r\n")

    assert not copy.is_connected
