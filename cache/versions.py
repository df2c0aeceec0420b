"""Whether something that was read before still holds, by one short question to Redis.

The question asks for a session, the registry's version, the history's name and every flag, and
then for the last bytes of each value, where its version stands: no value is read. The order
matters. Flags are looked at before values, so that what holds was true together when the flags were
looked at: versions only grow, and whatever still is the version that was read was it then.

With `tracked` Redis tells of changes, and what it confirmed is believed without asking again, under
the rules of the local copy (`cache.copies`): not after a change of one of the keys, not for longer
than `HELD_SECONDS`, and not when the link has been silent.

The connection is our own: questions are packed once and sent without waiting for the one before,
which costs a fraction of what a pooled client takes (docs/decisions/0045).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog
from redis.asyncio import Redis

from cache.copies import HELD_SECONDS, TRUSTED_SECONDS
from cache.keys import EPOCH, REGISTRY, Keys, session
from cache.local_copy import BEAT_SECONDS
from cache.tracking_connection import Server, TrackingConnection, TrackingRefusedError, pack
from domain.errors import ConfigurationError
from domain.values import Address, ChainId

_TAIL_BYTES = 400
"""Timestamp, network and marks of a value, unless its node's address is very long."""

_MARKS = re.compile(rb'"timestamp":(\d+),"chainId".*"epoch":"([^"]*)","version":(\d+)}$')
_ANSWER_SECONDS = 1.0
_RECONNECT_SECONDS = 0.5
_REFUSED_SECONDS = 5.0
_PING = pack(("PING",))
_log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class Question:
    """What an answer was made of.

    Attributes:
        names: the keys.
        packed: the commands.
        commands: how many.
        vaults: timestamp and version of each predicate.
        session: the bytes of the session, and the registry's version.
        expected: what came back when it was found to hold: the same bytes are the same again.
        held_until: until when it is believed unasked, by the monotonic clock.
    """

    names: Sequence[bytes]
    packed: bytes
    commands: int
    vaults: Sequence[tuple[int, int]]
    session: tuple[bytes, bytes]
    expected: list[Any] | None = None
    held_until: float = field(default=float("-inf"))


@dataclass(eq=False, slots=True)
class _Asked:
    """A question under way. A change of one of its keys meanwhile spoils the belief in it."""

    question: Question
    at: float
    answered: asyncio.Future[bool]
    spoiled: bool = False


class Versions:
    """Asks questions over a connection of its own, open from the first question on.

    Args:
        client: says where Redis is.
        tracked: have Redis tell of changes.
        monotonic: the clock by which it believes for a while, in seconds.
    """

    def __init__(
        self,
        client: Redis,
        *,
        tracked: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._client = client
        self._tracked = tracked
        self._keys = Keys()
        self._connection: TrackingConnection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._by_name: defaultdict[bytes, set[Question]] = defaultdict(set)
        self._under_way: dict[_Asked, None] = {}
        self._trusted_until = float("-inf")
        self._pinged_at: float | None = None

    def question(
        self,
        token: str,
        raw_session: bytes,
        registry_version: bytes,
        vaults: Iterable[tuple[ChainId, Address, int, int]],
    ) -> Question:
        """Return the question whether all this still holds.

        Args:
            token: of the session.
            raw_session: its bytes.
            registry_version: as it was read with the session.
            vaults: chain, address, timestamp and version of each fresh value of ours.
        """
        told = list(vaults)
        places = [(address, chain_id) for chain_id, address, _, _ in told]
        flags = [self._keys.chain_flag(*place).encode() for place in places]
        flags += [self._keys.global_flag(address).encode() for address, _ in places]
        values = [self._keys.value(*place).encode() for place in places]
        first = [session(token).encode(), REGISTRY.encode(), EPOCH.encode(), *flags]
        tails = [pack(("GETRANGE", value, -_TAIL_BYTES, -1)) for value in values]
        return Question(
            names=[*first, *values],
            packed=b"".join([pack(("MGET", *first)), *tails]),
            commands=1 + len(tails),
            vaults=[(timestamp_ms, version) for _, _, timestamp_ms, version in told],
            session=(raw_session, registry_version),
        )

    def remember(self, question: Question) -> None:
        """Listen for changes of its keys; `drop` it at the end."""
        for name in question.names:
            self._by_name[name].add(question)

    def drop(self, question: Question) -> None:
        """Forget it."""
        for name in question.names:
            asking = self._by_name[name]
            asking.discard(question)
            if not asking:
                del self._by_name[name]

    def is_held(self, question: Question) -> bool:
        """Tell whether it holds without asking; False: nobody knows."""
        now = self._monotonic()
        return now < question.held_until and now < self._trusted_until

    async def holds(self, question: Question) -> bool:
        """Ask whether nothing has changed; False also when Redis does not say."""
        connection = self._connection
        if connection is None or not connection.is_open:
            self._open()
            return False
        asked = _Asked(question, self._monotonic(), asyncio.get_running_loop().create_future())
        self._under_way[asked] = None
        connection.ask_packed(
            question.packed, partial(self._answer, asked), commands=question.commands
        )
        return await asked.answered

    def forget(self, addresses: Iterable[Address]) -> None:
        """Believe nothing about these unasked: this process has changed them, or seen them new."""
        for address in addresses:
            self._changed([self._keys.global_flag(address).encode()])

    async def aclose(self) -> None:
        """End the connection."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        self._lost()

    def _answer(self, asked: _Asked, found: list[Any]) -> None:
        # In the order of arrival, before any later notice: see `tracking_connection`.
        del self._under_way[asked]
        question = asked.question
        if question.expected is None and _matches(question, found):
            question.expected = found
        holds = found == question.expected
        if not isinstance(found[0], list) and self._connection is not None:
            self._connection.close()  # refused: it loads, or has made itself a replica
        elif holds and self._tracked and not asked.spoiled:
            question.held_until = asked.at + HELD_SECONDS
        if not asked.answered.done():
            asked.answered.set_result(holds)

    def _changed(self, names: Sequence[bytes] | None) -> None:
        if names is None:
            self._spoil_all()
            return
        for name in names:
            for question in self._by_name.get(name, ()):
                question.held_until = float("-inf")
            for asked in self._under_way:
                asked.spoiled = asked.spoiled or name in asked.question.names

    def _spoil_all(self) -> None:
        for questions in self._by_name.values():
            for question in questions:
                question.held_until = float("-inf")
        for asked in self._under_way:
            asked.spoiled = True

    def _lost(self) -> None:
        self._trusted_until = float("-inf")
        self._spoil_all()
        under_way, self._under_way = list(self._under_way), {}
        for asked in under_way:
            if not asked.answered.done():
                asked.answered.set_result(False)

    def _open(self) -> None:
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name="versions")

    async def _keep(self) -> None:
        """Be connected; when the connection is lost, connect again."""
        try:
            server = Server.of(self._client)
        except ConfigurationError:
            return  # a cluster, or Sentinels: everything is read in full
        while True:
            pause = _RECONNECT_SECONDS
            connection = None
            try:
                connection = await TrackingConnection.open(
                    server, self._changed, self._lost, tracked=self._tracked
                )
                self._connection = connection
                await self._beat(connection)
            except OSError:
                pass
            except TrackingRefusedError as error:
                _log.warning("reading in full: Redis refuses", command=str(error))
                pause = _REFUSED_SECONDS
            finally:
                if connection is not None:
                    connection.close()
            await asyncio.sleep(pause)

    async def _beat(self, connection: TrackingConnection) -> None:
        """Ask again and again, until the connection ends or has been silent for too long."""
        self._pinged_at = None
        while connection.is_open:
            now = self._monotonic()
            if self._pinged_at is None:
                self._pinged_at = now
                connection.ask_packed(_PING, partial(self._heard, now))
            elif now - self._pinged_at > _ANSWER_SECONDS:
                connection.close()
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await connection.wait_ended()

    def _heard(self, asked_at: float, _: object) -> None:
        self._pinged_at = None
        self._trusted_until = asked_at + TRUSTED_SECONDS


def _matches(question: Question, found: Sequence[Any]) -> bool:
    """Tell whether an answer says what the question was made of; its bytes are then known."""
    first, *tails = found
    if not isinstance(first, list):
        return False
    raw_session, registry_version, epoch, *flags = first
    if (raw_session, registry_version or b"") != question.session or epoch is None:
        return False
    if any(flag is not None for flag in flags):
        return False
    return all(
        isinstance(tail, bytes) and _is_version(tail, epoch, timestamp_ms, version)
        for tail, (timestamp_ms, version) in zip(tails, question.vaults, strict=True)
    )


def _is_version(tail: bytes, epoch: bytes, timestamp_ms: int, version: int) -> bool:
    marks = _MARKS.search(tail)
    return marks is not None and marks.groups() == (
        b"%d" % timestamp_ms,
        epoch,
        b"%d" % version,
    )
