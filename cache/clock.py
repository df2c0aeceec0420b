"""The server's time, told by this process's monotonic clock between two questions.

It is for ages and for soft lives only: what must be exact asks `TIME` inside a script.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

_TRUST_SECONDS = 10.0


class ServerClock:
    """Estimates Redis's clock without a round trip of its own."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._offset_ms = 0.0
        self._learned_at: float | None = None

    def must_ask(self) -> bool:
        """Tell whether the next round trip should bring a `TIME` along."""
        return self._learned_at is None or self._monotonic() - self._learned_at > _TRUST_SECONDS

    def learn(self, answer: Sequence[int | bytes]) -> None:
        """Take over the answer of a `TIME` command."""
        seconds, microseconds = int(answer[0]), int(answer[1])
        self._learned_at = self._monotonic()
        self._offset_ms = seconds * 1000 + microseconds / 1000 - self._learned_at * 1000

    def now_ms(self) -> int:
        """Return the server's time."""
        return int(self._monotonic() * 1000 + self._offset_ms)
