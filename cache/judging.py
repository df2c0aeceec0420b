"""Decides what a stored value is worth: fresh, stale and why, or nothing. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cache.codec import Decoded
from domain.values import Fresh, Missing, ReadAnswer, Stale, StaleReason

STATE_FIELDS = ("generation", "published_generation", "invalidated_at")


@dataclass(frozen=True, slots=True)
class State:
    """What a judgement needs of the state of one predicate on one chain."""

    generation: int = 0
    published_generation: int = 0
    invalidated_at_ms: int = 0

    @classmethod
    def parse(cls, fields: Sequence[bytes | None] | Exception) -> State:
        """Read the fields `STATE_FIELDS`; damaged ones count as absent."""
        if isinstance(fields, Exception):
            return cls()
        try:
            return cls(*(int(field or 0) for field in fields))
        except ValueError:
            return cls()

    @property
    def is_invalidated(self) -> bool:
        """Tell whether nothing was published since the last invalidation."""
        return self.generation > self.published_generation


@dataclass(frozen=True, slots=True)
class Found:
    """What one round trip tells of one predicate.

    Attributes:
        value: the fresh snapshot, if there is a readable one.
        flagged: an invalidation flag stands.
    """

    value: Decoded | None
    flagged: bool


def own_fresh(value: Decoded, now_ms: int) -> Fresh:
    """Answer with a value of ours that nothing speaks against."""
    stored, soft_ms = value.stored, value.soft_life_ms or 0
    age = max(0, now_ms - stored.timestamp_ms)
    return Fresh(stored, age, age >= soft_ms, soft_ms - age)


def judge(
    found: Found, last_known: Decoded | None, state: State, *, now_ms: int, foreign_skew_ms: int
) -> ReadAnswer:
    """Judge what is no fresh value of ours."""
    foreign = found.value if found.value is not None and found.value.stored.foreign else None
    if foreign is not None and not found.flagged and _is_trusted(foreign, state, foreign_skew_ms):
        return Fresh(foreign.stored, max(0, now_ms - foreign.stored.timestamp_ms))
    best = last_known or foreign or found.value
    if best is None:
        return Missing()
    invalidated = found.flagged or state.is_invalidated
    reason = StaleReason.INVALIDATED if invalidated else StaleReason.EXPIRED
    return Stale(best.stored, max(0, now_ms - best.stored.timestamp_ms), reason)


def _is_trusted(foreign: Decoded, state: State, skew_ms: int) -> bool:
    """Tell whether a foreign value can have been fetched after our last invalidation.

    A foreign writer names no height and no start of its fetch, only its own clock at the end.
    So we first refill the predicate ourselves, and then distrust what may still have been on
    its way: the skew covers its longest fetch and its clock.
    """
    if state.is_invalidated:
        return False
    if not state.invalidated_at_ms:
        return True
    return foreign.stored.timestamp_ms > state.invalidated_at_ms + skew_ms
