"""How long a request takes, by a distribution that can be repeated."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from enum import StrEnum

from domain.errors import InvalidValueError


class Distribution(StrEnum):
    """The shapes of a latency."""

    FIXED = "fixed"
    UNIFORM = "uniform"
    LOGNORMAL = "lognormal"


@dataclass(slots=True)
class Latency:
    """Draws the latency of each request.

    Attributes:
        distribution: its shape.
        milliseconds: the latency (fixed), the least (uniform), or the median (lognormal).
        most_milliseconds: the most (uniform).
        sigma: the spread of the logarithm (lognormal).
        seed: the same seed draws the same latencies.
    """

    distribution: Distribution = Distribution.FIXED
    milliseconds: float = 0.0
    most_milliseconds: float = 0.0
    sigma: float = 0.5
    seed: int = 0
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the figures.

        Raises:
            InvalidValueError: one is negative, or the most is less than the least.
        """
        if self.milliseconds < 0 or self.sigma < 0:
            raise InvalidValueError("a latency and its spread are not negative")
        if self.distribution is Distribution.UNIFORM and self.most_milliseconds < self.milliseconds:
            raise InvalidValueError("mostMilliseconds is less than milliseconds")
        self._random = random.Random(self.seed)  # noqa: S311 - repeatable, not secret

    def draw_seconds(self) -> float:
        """Return the latency of the next request."""
        if self.distribution is Distribution.UNIFORM:
            return self._random.uniform(self.milliseconds, self.most_milliseconds) / 1000
        if self.distribution is Distribution.LOGNORMAL and self.milliseconds:
            median = math.log(self.milliseconds)
            return self._random.lognormvariate(median, self.sigma) / 1000
        return self.milliseconds / 1000
