"""A limit of requests under way in which the more urgent lane goes first."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count

from domain.values import Lane

LANE_ORDER = {lane: position for position, lane in enumerate(Lane)}
"""The smaller the number, the more urgent."""


class LaneGate:
    """A semaphore whose waiters are served by lane, then by arrival."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = count()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    @asynccontextmanager
    async def enter(self, lane: Lane) -> AsyncIterator[None]:
        """Hold one place for the length of the block."""
        await self._acquire(lane)
        try:
            yield
        finally:
            self._free += 1
            self._wake()

    async def _acquire(self, lane: Lane) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket = (LANE_ORDER[lane], next(self._arrivals), place)
        heapq.heappush(self._waiting, ticket)
        self._wake()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # granted, but nobody is left to use it
                self._free += 1
                self._wake()
            else:  # behind a busy lane it would stay for as long as that is busy
                with suppress(ValueError):  # or it was passed over a moment ago
                    self._waiting.remove(ticket)
                heapq.heapify(self._waiting)
            raise

    def _wake(self) -> None:
        while self._free > 0 and self._waiting:
            _, _, place = heapq.heappop(self._waiting)
            if not place.done():
                self._free -= 1
                place.set_result(None)
