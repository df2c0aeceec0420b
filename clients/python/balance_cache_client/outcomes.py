"""What calls that change something return."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WarmUpOutcome:
    """What became of a warm-up; a login goes on either way.

    Attributes:
        accepted: whether the workers will do it.
        task_id: of the task, None without one.
        total: how many vaults the user has.
        error: why it was not accepted.
    """

    accepted: bool
    task_id: str | None = None
    total: int = 0
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Invalidated:
    """What an invalidation did.

    Attributes:
        count: how many predicates it declared wrong.
        task_id: of the task that fetches them; None without a broker: the next read fetches.
    """

    count: int
    task_id: str | None
