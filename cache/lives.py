"""How long everything lives."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

JITTER = 0.1
"""A fresh life is cut by up to this part, so that vaults warmed together do not end together."""

PROBATION_SECONDS = 10.0
"""How long a node may lag: several of Fuel's blocks of one second."""

PROBATION_FRESH_SECONDS = 5.0
"""How long a lagging node's old answer is served, when no height tells it from a new one."""


@dataclass(frozen=True, slots=True)
class Lives:
    """The lives of keys, in seconds; the methods give milliseconds.

    Attributes:
        fresh_seconds: how long a published snapshot is fresh, at most.
        keep_seconds: how long the last known snapshot is kept.
        flag_seconds: life of the drop-in invalidation flags.
        lease_seconds: how long a fetch may take before another may take its lease.
        transaction_cache_seconds: life of the tx:refresh marks.
        hot_life_seconds: how long after its last read a predicate stays hot.
        refresh_ahead_seconds: how long before its end of fresh life a snapshot is due.
        jitter: part of the fresh life that is cut at random.
        probation_seconds: how long after an invalidation without a height a fetch is on probation.
        probation_fresh_seconds: fresh life of what was fetched on probation.
    """

    fresh_seconds: float
    keep_seconds: float
    flag_seconds: float
    lease_seconds: float
    transaction_cache_seconds: float
    hot_life_seconds: float
    refresh_ahead_seconds: float
    jitter: float = JITTER
    probation_seconds: float = PROBATION_SECONDS
    probation_fresh_seconds: float = PROBATION_FRESH_SECONDS
    chance: random.Random = field(default_factory=random.Random, repr=False)

    def draw_fresh_ms(self) -> int:
        """Return the fresh life of one snapshot."""
        kept = 1 - self.jitter * self.chance.random()
        return max(1, int(self.fresh_seconds * 1000 * kept))

    def ahead_ms(self, fresh_ms: int) -> int:
        """Return how long before the end it is due: never more than half of its life."""
        return min(int(self.refresh_ahead_seconds * 1000), fresh_ms // 2)

    @property
    def probation_ms(self) -> int:
        """Return how long after an invalidation without a height a fetch is on probation."""
        return milliseconds(self.probation_seconds)

    @property
    def probation_fresh_ms(self) -> int:
        """Return the longest fresh life of what was fetched on probation."""
        return milliseconds(self.probation_fresh_seconds)

    @property
    def soft_ms(self) -> int:
        """Return the shortest soft life that a publish can draw."""
        shortest = int(self.fresh_seconds * 1000 * (1 - self.jitter))
        return shortest - self.ahead_ms(shortest)

    @property
    def read_memory_seconds(self) -> float:
        """In what time a read fades from the count of reads (to 1/e)."""
        return self.hot_life_seconds / 2

    @property
    def keep_ms(self) -> int:
        """Life of the last known snapshot: never shorter than the fresh one."""
        return milliseconds(max(self.keep_seconds, self.fresh_seconds))

    @property
    def state_ms(self) -> int:
        """Life of generation and heights: as long as anything that they speak about."""
        return max(self.keep_ms, milliseconds(self.flag_seconds), milliseconds(self.lease_seconds))


def milliseconds(seconds: float) -> int:
    """Return whole milliseconds, at least one."""
    return max(1, int(seconds * 1000))
