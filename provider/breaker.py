"""A circuit breaker: a node that keeps failing rests, then one request tries it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable


class CircuitBreaker:
    """Closed until failures follow each other; then open; then half open for one trial.

    Args:
        failures: how many in a row open it.
        rest_seconds: the first rest; each next one without a success between is twice as long.
        longest_rest_seconds: the longest rest; also how long a trial may stay unanswered.
    """

    def __init__(
        self,
        *,
        failures: int = 5,
        rest_seconds: float = 1.0,
        longest_rest_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold = failures
        self._rest = rest_seconds
        self._longest = longest_rest_seconds
        self._clock = clock
        self._failures = 0
        self._rests = 0
        self._next_trial = 0.0
        self._left_alone_until = 0.0

    @property
    def is_open(self) -> bool:
        """True while requests are refused or a trial is due."""
        return self._failures >= self._threshold

    @property
    def ready(self) -> bool:
        """True when a request may go: not asked to wait; closed, or open and a trial is due."""
        now = self._clock()
        return now >= self._left_alone_until and (not self.is_open or now >= self._next_trial)

    def leave_alone(self, seconds: float) -> None:
        """Let no request go for so long: the node asked for it."""
        self._left_alone_until = max(self._left_alone_until, self._clock() + seconds)

    def begin(self) -> None:
        """Note that a request goes out; if it is a trial, others wait for its outcome."""
        if self.is_open:
            self._next_trial = self._clock() + self._longest

    def abandoned(self) -> None:
        """Note that the request never went out: if it was a trial, another is due."""
        if self.is_open:
            self._next_trial = self._clock()

    def succeeded(self) -> None:
        """Close: the node answered."""
        self._failures = self._rests = 0

    def failed(self) -> bool:
        """Count a failure; True when it opened the breaker, or kept it open after a trial."""
        self._failures += 1
        if not self.is_open:
            return False
        rest = min(self._longest, self._rest * 2**self._rests)
        self._rests += 1
        # Jitter, so that many processes do not try the node in the same moment.
        self._next_trial = self._clock() + random.uniform(rest / 2, rest)  # noqa: S311
        return True
