"""When another attempt is worth its time: transient failures only, with jitter, before the end."""

from __future__ import annotations

import random
from dataclasses import dataclass

from domain.errors import (
    BudgetExhaustedError,
    NodeBehindError,
    NodeOverloadedError,
    ProviderError,
    TransientProviderError,
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon.

    Attributes:
        attempts: requests in all for a transient failure.
        behind_attempts: requests in all while the node is only behind; it catches up by itself.
        base_seconds: the first pause; each next one is twice as long.
        behind_base_seconds: the same for a node that is behind: about half a block.
        cap_seconds: the longest pause.
    """

    attempts: int = 3
    behind_attempts: int = 6
    base_seconds: float = 0.1
    behind_base_seconds: float = 0.5
    cap_seconds: float = 2.0

    def pause(self, error: ProviderError, failures: int) -> float | None:
        """Return the pause before the next attempt, in seconds; None: give up.

        Args:
            error: what the last attempt failed with.
            failures: how many attempts failed until now, that one included.
        """
        if not isinstance(error, TransientProviderError) or isinstance(error, BudgetExhaustedError):
            return None
        behind = isinstance(error, NodeBehindError)
        if failures >= (self.behind_attempts if behind else self.attempts):
            return None
        base = self.behind_base_seconds if behind else self.base_seconds
        longest = min(self.cap_seconds, base * 2 ** (failures - 1))
        wished = error.retry_after_seconds if isinstance(error, NodeOverloadedError) else 0.0
        return wished + random.uniform(longest / 2, longest)  # noqa: S311 - jitter is no secret
