"""What operators count. Counted in the process, added up in Redis without a trip of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from cache.commands import Command
from cache.keys import COUNTERS

_LIFE_SECONDS = 30 * 24 * 3600


class Counters:
    """Counts that wait for the next round trip; each is added by an atomic increment."""

    def __init__(self) -> None:
        self._pending: Counter[str] = Counter()

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter."""
        if amount:
            self._pending[name] += amount

    def take(self) -> Mapping[str, int]:
        """Take what waits; `give_back` it if it cannot be sent."""
        taken, self._pending = self._pending, Counter()
        return taken

    def give_back(self, taken: Mapping[str, int]) -> None:
        """Count again what could not be sent."""
        self._pending.update(taken)

    @staticmethod
    def commands(taken: Mapping[str, int]) -> list[Command]:
        """Return the commands that add the counts up in Redis."""
        if not taken:
            return []
        commands: list[Command] = [
            ("HINCRBY", COUNTERS, name, amount) for name, amount in taken.items()
        ]
        return [*commands, ("EXPIRE", COUNTERS, _LIFE_SECONDS)]
