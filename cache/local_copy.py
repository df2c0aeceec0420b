"""The coherent copy inside a process: its connection, and reading through it.

Off unless `LOCAL_COPY` is set. Nothing waits for the copy and nothing fails with it: a read takes
what the copy holds, the rest comes from Redis as it does without one, and what came is copied
behind, over the connection that also tells of changes (`tracking_connection`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis

from cache.clock import ServerClock
from cache.copies import HELD_SECONDS, Copies, Place, Wanted
from cache.counters import Counters
from cache.keys import Keys
from cache.known import Memory
from cache.reading import Reading
from cache.tracking_connection import Server, TrackingConnection, TrackingRefusedError
from domain.measures import Measures
from domain.values import Address, ChainId, Fresh, ReadAnswer

_log = structlog.get_logger(__name__)

BEAT_SECONDS = 0.25
"""How often the server is asked whether it is there: several times within the trusted time."""

SILENT_SECONDS = 2.0
"""A question that goes so long without an answer: the link is dead, whatever the socket says."""

_RECONNECT_SECONDS = 0.5
_REFUSED_SECONDS = 5.0
_PORTION = 170
"""So many predicates go into one command: about 512 keys."""


class LocalCopy:
    """Keeps one tracking connection open from the first read on, and copies over it.

    Args:
        client: says where Redis is.
        most_vaults: how many predicates are held at most.
    """

    def __init__(self, client: Redis, *, most_vaults: int) -> None:
        self._server = Server.of(client)
        self._copies = Copies(most_vaults)
        self._memory = Memory(Keys())
        self._connection: TrackingConnection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._wanted: dict[Place, Wanted] = {}
        self._lately: set[Place] = set()
        self._lately_since = time.monotonic()
        self._refusal_logged = False

    @property
    def is_connected(self) -> bool:
        """Tell whether changes are being told of."""
        return self._connection is not None and self._connection.is_open

    def __len__(self) -> int:
        return len(self._copies)

    def take(
        self, chain_id: ChainId, addresses: Iterable[Address], now_ms: int
    ) -> dict[Address, Fresh]:
        """Return those that are held and fresh."""
        return self._copies.take(chain_id, addresses, now_ms)

    def learn(self, chain_id: ChainId, answers: Mapping[Address, ReadAnswer]) -> None:
        """Note what was just read in Redis; copy what was read twice lately.

        What is read once in the time for which it would be held gains nothing from a copy.
        """
        self._begin()
        for address, answer in answers.items():
            place = (chain_id, address)
            if not isinstance(answer, Fresh) or answer.stored.foreign:
                self._copies.forget([address])
                self._wanted.pop(place, None)
            elif not self._copies.raise_version(place, answer.stored.version) and not answer.due:
                self._want(place, answer.stored.version)

    def forget(self, addresses: Iterable[Address]) -> None:
        """Drop what this process itself has changed: it must not wait to be told."""
        self._copies.forget(addresses)

    async def aclose(self) -> None:
        """Drop everything and end the connection."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper

    def _begin(self) -> None:
        """Be connected from now on."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name="local copy")

    def _soon(self) -> None:
        """Ask for what is wanted at the end of this tick, with all who come in it."""
        asyncio.get_running_loop().call_soon(self._ask_for_wanted)

    def _want(self, place: Place, version: int) -> None:
        if not self.is_connected or not self._was_read_lately(place):
            return
        if not self._wanted:
            self._soon()
        waiting = self._wanted.get(place)
        least = version if waiting is None else max(version, waiting.version)
        self._wanted[place] = Wanted(self._memory.of(*place), least)

    def _was_read_lately(self, place: Place) -> bool:
        now = time.monotonic()
        if now - self._lately_since > HELD_SECONDS:
            self._lately, self._lately_since = set(), now
        if place in self._lately:
            return True
        self._lately.add(place)
        return False

    def _ask_for_wanted(self) -> None:
        wanted, self._wanted = list(self._wanted.items()), {}
        for at in range(0, len(wanted), _PORTION):
            self._ask(dict(wanted[at : at + _PORTION]))

    def _ask(self, wanted: Mapping[Place, Wanted]) -> None:
        connection = self._connection
        if connection is None or not connection.is_open:
            return
        question = self._copies.ask(wanted)

        def answered(texts: Any) -> None:
            if isinstance(texts, list):
                self._copies.answer(question, texts)
            else:  # refused: it loads, or has made itself a replica
                connection.close()

        connection.ask(("MGET", *question.names()), answered)

    def _changed(self, names: Sequence[bytes] | None) -> None:
        if self._copies.changed(names):
            self._ask({})

    async def _keep(self) -> None:
        """Be connected; when the connection is lost, connect again."""
        while True:
            try:
                self._connection = await TrackingConnection.open(
                    self._server, self._changed, self._copies.lost
                )
                await self._beat(self._connection)
                pause = _RECONNECT_SECONDS
            except OSError:
                pause = _RECONNECT_SECONDS
            except TrackingRefusedError as error:
                self._log_refusal(error)
                pause = _REFUSED_SECONDS
            finally:
                if self._connection is not None:
                    self._connection.close()
            await asyncio.sleep(pause)

    async def _beat(self, connection: TrackingConnection) -> None:
        """Ask again and again, until the connection ends or has been silent for too long."""
        while connection.is_open and self._copies.silence() < SILENT_SECONDS:
            self._ask({})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await connection.wait_ended()

    def _log_refusal(self, error: TrackingRefusedError) -> None:
        if not self._refusal_logged:
            self._refusal_logged = True
            _log.warning("reading without a local copy: Redis refuses", command=str(error))


class CopiedReading:
    """Reads through the copy, as `Reading` does without one."""

    def __init__(
        self,
        reading: Reading,
        copy: LocalCopy,
        clock: ServerClock,
        counters: Counters,
        measures: Measures,
    ) -> None:
        self._measures = measures
        self._reading = reading
        self._copy = copy
        self._clock = clock
        self._counters = counters

    async def read(
        self, chain_id: ChainId, addresses: Sequence[Address], *, counted: bool
    ) -> dict[Address, ReadAnswer]:
        """Answer for each predicate.

        What is not counted is read to decide what there is to do, and must be true now: it
        always comes from Redis.
        """
        if not counted:
            return await self._reading.read(chain_id, addresses, counted=False)
        held = self._take(chain_id, addresses)
        self._counters.count("hits", len(held))
        self._counters.count("copied", len(held))
        self._measures.looked(chain_id, hits=len(held), expired=0, invalidated=0, misses=0)
        rest = [address for address in addresses if address not in held]
        if not rest:
            return dict(held)
        answers = await self._reading.read(chain_id, rest, counted=True)
        self._copy.learn(chain_id, answers)
        if not held:
            return answers
        return {address: held.get(address) or answers[address] for address in addresses}

    async def not_fresh(
        self, chain_id: ChainId, addresses: Sequence[Address]
    ) -> tuple[Address, ...]:
        """Return those that a reader would have to wait for; such looks always ask Redis."""
        return await self._reading.not_fresh(chain_id, addresses)

    def _take(self, chain_id: ChainId, addresses: Sequence[Address]) -> dict[Address, Fresh]:
        if self._clock.must_ask():  # ages would go wrong, and counts would never be sent
            return {}
        return self._copy.take(chain_id, addresses, self._clock.now_ms())
