"""Which vault changed when, lately: what a reader who resumes has missed, without asking Redis."""

from __future__ import annotations

from collections.abc import Collection

from api.streams.events import Position
from domain.values import Address, ChainId

Place = tuple[ChainId, Address]
"""A predicate on one chain."""


class Journal:
    """The last changes of up to `most` predicates.

    Attributes:
        first: every change after this position is known; None: none has been heard of.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed: dict[Place, Position] = {}
        self.first: Position | None = None

    def begin(self, first: Position | None) -> None:
        """Forget everything: what comes after this position, or next, will be told."""
        self._changed.clear()
        self.first = first

    def note(self, place: Place, position: Position) -> None:
        """Note a change; positions only grow."""
        if self.first is None:
            self.first = position
        self._changed.pop(place, None)
        self._changed[place] = position
        if len(self._changed) > self._most:
            oldest = next(iter(self._changed))
            self.first = self._changed.pop(oldest)

    def changed_since(self, position: Position, places: Collection[Place]) -> set[Place] | None:
        """Return those that changed after a position; None: it is too long ago to be known."""
        if self.first is None or position < self.first:
            return None
        return {place for place in places if self._changed.get(place, (-1, -1)) > position}
