"""Single wishes of one process that come within a few milliseconds share requests.

A read miss and a warm-up that meet here ride together: a request that holds somebody's urgent
vault is urgent as a whole, and the most urgent vaults go into the first requests.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from domain.values import Address, BlockHeight, Lane
from provider.costs import OWNERS_PER_REQUEST
from provider.gate import LANE_ORDER
from provider.reading import VaultReading

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """One vault that somebody waits for.

    Attributes:
        reading: the vault and what is known of it.
        lane: how urgent it is.
        deadline: when nobody waits any more, by the event loop's clock.
    """

    reading: VaultReading
    lane: Lane
    deadline: float


RunBatch = Callable[[Sequence[VaultReading], Lane, float], Awaitable[None]]
"""Reads these vaults in this lane until this deadline, and settles those that it can."""


class MicroBatcher:
    """Collects wishes for a moment, then hands them on in batches of one request's size."""

    def __init__(self, run: RunBatch, *, window_seconds: float) -> None:
        self._run = run
        self._window = window_seconds
        self._wishes: list[Wish] = []
        self._timer: asyncio.TimerHandle | None = None
        self._running: set[asyncio.Task[None]] = set()

    def add(self, wishes: Sequence[Wish]) -> None:
        """Take wishes; they leave at the end of the window, or now if they fill a request."""
        self._wishes.extend(wishes)
        if len(self._wishes) >= OWNERS_PER_REQUEST:
            self._flush()
        elif self._timer is None and self._wishes:
            self._timer = asyncio.get_running_loop().call_later(self._window, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wishes, self._wishes = self._wishes, []
        for batch in _batches(wishes):
            lane = min((wish.lane for wish in batch), key=LANE_ORDER.__getitem__)
            deadline = max(wish.deadline for wish in batch)
            readings = [wish.reading for wish in batch]
            task = asyncio.ensure_future(self._run(readings, lane, deadline))
            self._running.add(task)
            task.add_done_callback(partial(self._ended, readings))

    def _ended(self, readings: Sequence[VaultReading], task: asyncio.Task[None]) -> None:
        """Leave nobody waiting, however the batch ended: in time, too late, or not at all."""
        self._running.discard(task)
        for reading in readings:
            reading.settle(reading.too_late())
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("batch_broke", exc_info=error)

    async def close(self) -> None:
        """End what is under way; whoever waits is told at once."""
        self._flush()
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


def _batches(wishes: Sequence[Wish]) -> list[list[Wish]]:
    """Group wishes by required height, the most urgent first, a request's size each.

    Vaults with different required heights do not ride together: a node that is behind one of
    them would refuse the others too.
    """
    by_height: dict[int, list[Wish]] = defaultdict(list)
    for wish in _distinct(wishes):
        by_height[wish.reading.required_height].append(wish)
    batches = []
    for group in by_height.values():
        group.sort(key=lambda wish: LANE_ORDER[wish.lane])
        batches += [
            group[start : start + OWNERS_PER_REQUEST]
            for start in range(0, len(group), OWNERS_PER_REQUEST)
        ]
    return batches


def _distinct(wishes: Sequence[Wish]) -> list[Wish]:
    """Let those who ask for the same vault at the same height share one reading."""
    leaders: dict[tuple[Address, BlockHeight], Wish] = {}
    for wish in wishes:
        key = (wish.reading.address, wish.reading.required_height)
        leader = leaders.get(key)
        if leader is None:
            leaders[key] = wish
            continue
        leader.reading.followers.append(wish.reading)
        leaders[key] = Wish(
            leader.reading,
            min(leader.lane, wish.lane, key=LANE_ORDER.__getitem__),
            max(leader.deadline, wish.deadline),
        )
    return list(leaders.values())
