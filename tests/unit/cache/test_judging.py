"""What a stored value is worth, at the very edges of its lives."""

from __future__ import annotations

import pytest

from cache.codec import Decoded
from cache.judging import Found, State, judge, own_fresh
from domain.values import Fresh, Stale, StaleReason, StoredSnapshot
from tests.cache_support import address, snapshot

NOW_MS = 1_700_000_000_000
SKEW_MS = 60_000
ALICE = snapshot(address(1), 5)


def foreign(timestamp_ms: int) -> Decoded:
    return Decoded(StoredSnapshot(ALICE, timestamp_ms, version=0, foreign=True))


def judged(value: Decoded | None, state: State, *, flagged: bool = False) -> object:
    found = Found(value, flagged)
    return judge(found, None, state, now_ms=NOW_MS, foreign_skew_ms=SKEW_MS)


@pytest.mark.parametrize(("age_ms", "due"), [(59_999, False), (60_000, True), (60_001, True)])
def test_a_value_is_due_from_the_end_of_its_soft_life(age_ms: int, due: bool) -> None:
    stored = StoredSnapshot(ALICE, NOW_MS - age_ms, version=1)

    assert own_fresh(Decoded(stored, 60_000, "here"), NOW_MS) == Fresh(stored, age_ms, due)


@pytest.mark.parametrize(("age_ms", "due_in_ms"), [(10_000, 50_000), (70_000, -10_000)])
def test_a_value_tells_how_far_the_end_of_its_soft_life_is(age_ms: int, due_in_ms: int) -> None:
    stored = StoredSnapshot(ALICE, NOW_MS - age_ms, version=1)

    assert own_fresh(Decoded(stored, 60_000, "here"), NOW_MS).due_in_ms == due_in_ms


def test_our_own_value_under_a_flag_is_the_last_that_is_known_when_nothing_else_is() -> None:
    stored = StoredSnapshot(ALICE, NOW_MS - 5_000, version=1)

    answer = judged(Decoded(stored, 60_000, "here"), State(), flagged=True)

    assert answer == Stale(stored, 5_000, StaleReason.INVALIDATED)


def test_a_value_from_the_future_has_no_age() -> None:
    """A client's estimate of the server's clock may be behind the server's."""
    stored = StoredSnapshot(ALICE, NOW_MS + 3, version=1)

    assert own_fresh(Decoded(stored, 60_000, "here"), NOW_MS).age_ms == 0


def test_the_age_of_a_foreign_value_is_told() -> None:
    value = foreign(NOW_MS - 7_000)

    assert judged(value, State()) == Fresh(value.stored, 7_000)
    assert judged(value, State(generation=1)) == Stale(value.stored, 7_000, StaleReason.INVALIDATED)
    assert judged(value, State(), flagged=True) == Stale(
        value.stored, 7_000, StaleReason.INVALIDATED
    )


@pytest.mark.parametrize(("later_ms", "trusted"), [(SKEW_MS, False), (SKEW_MS + 1, True)])
def test_a_foreign_value_is_trusted_when_it_is_later_by_more_than_the_skew(
    later_ms: int, trusted: bool
) -> None:
    state = State(1, 1, invalidated_at_ms=NOW_MS - 100_000)

    answer = judged(foreign(NOW_MS - 100_000 + later_ms), state)

    assert isinstance(answer, Fresh if trusted else Stale)
