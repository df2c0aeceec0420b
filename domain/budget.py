"""How a budget of node calls is divided among the lanes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from domain.values import Lane

LANE_SHARES: Mapping[Lane, float] = {
    Lane.INVALIDATION: 1.0,
    Lane.READ: 0.8,
    Lane.WARMUP: 0.5,
    Lane.REFRESH: 0.3,
    Lane.AUDIT: 0.1,
}
"""The part of a budget's burst, and of its calls under way, that a lane may use up. What is left is
for the more urgent ones: a login storm never delays the refill after a confirmed transaction."""


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """A budget of node calls.

    Attributes:
        calls_per_second: in the long run.
        burst: at once, after a time of rest.
        under_way: at one time.
    """

    calls_per_second: float
    burst: int
    under_way: int

    def burst_of(self, lane: Lane) -> float:
        """Return how many calls at once a lane may make; at least one."""
        return max(1.0, self.burst * LANE_SHARES[lane])

    def under_way_of(self, lane: Lane) -> int:
        """Return how many calls may be under way when one of this lane begins; at least one."""
        return max(1, int(self.under_way * LANE_SHARES[lane]))

    def share(self, part: float) -> BudgetLimits:
        """Return the limits of one process that has only a part of the budget."""
        return BudgetLimits(
            self.calls_per_second * part,
            max(1, int(self.burst * part)),
            max(1, int(self.under_way * part)),
        )
