"""The highest block that any node of a network has shown us.

Balances must not go back in time: what one node has shown is asked of every other one. A node
that names a height far beyond the chain (a mistake, or a chain that was started anew) must not
block the network for ever, so a height that nobody confirms any more is forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from domain.values import BlockHeight

UNCONFIRMED_SECONDS = 60.0
"""Longer than a node may wait for a required height (30 s) before it answers."""


class HeightFloor:
    """The height below which no answer of this network is believed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._floor: BlockHeight = 0
        self._doubted_at: float | None = None
        self._shown_since: BlockHeight = 0

    @property
    def height(self) -> BlockHeight:
        """The highest height shown, or what replaced it when nobody confirmed it."""
        return self._floor

    def saw(self, height: BlockHeight | None) -> None:
        """Take note of a height that a node named, in an answer or in a refusal."""
        if height is None:
            return
        if height >= self._floor:
            self._floor, self._doubted_at, self._shown_since = height, None, 0
            return
        now = self._clock()
        self._doubted_at = now if self._doubted_at is None else self._doubted_at
        self._shown_since = max(self._shown_since, height)
        # Silence is no doubt: only nodes that keep naming less make us give a height up.
        if now - self._doubted_at > UNCONFIRMED_SECONDS:
            self._floor, self._doubted_at, self._shown_since = self._shown_since, None, 0
