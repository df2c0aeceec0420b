"""Lives, soft lives and the estimated clock."""

from __future__ import annotations

import random

import pytest

from cache.clock import ServerClock
from cache.judging import Found, State, judge
from cache.lives import Lives
from domain.values import Missing


def lives(**changes: float) -> Lives:
    given = {
        "fresh_seconds": 600.0,
        "keep_seconds": 86_400.0,
        "flag_seconds": 3_600.0,
        "lease_seconds": 10.0,
        "transaction_cache_seconds": 600.0,
        "hot_life_seconds": 3_600.0,
        "refresh_ahead_seconds": 60.0,
    }
    return Lives(**given | changes, chance=random.Random(1))


def test_fresh_lives_differ_and_are_never_longer_than_promised() -> None:
    one = lives()

    drawn = {one.draw_fresh_ms() for _ in range(200)}

    assert len(drawn) > 150
    assert 540_000 <= min(drawn) < 550_000
    assert 590_000 < max(drawn) <= 600_000


def test_without_jitter_a_fresh_life_is_exact() -> None:
    assert {lives(jitter=0).draw_fresh_ms() for _ in range(5)} == {600_000}


@pytest.mark.parametrize(("fresh_ms", "ahead_ms"), [(600_000, 60_000), (100_000, 50_000), (1, 0)])
def test_nothing_is_due_in_the_first_half_of_its_life(fresh_ms: int, ahead_ms: int) -> None:
    assert lives().ahead_ms(fresh_ms) == ahead_ms


def test_the_shortest_soft_life_is_that_of_the_shortest_fresh_one() -> None:
    assert lives().soft_ms == 540_000 - 60_000


def test_the_last_known_outlives_the_fresh_and_the_state_outlives_both() -> None:
    short = lives(keep_seconds=60)
    long = lives(flag_seconds=100_000)

    assert short.keep_ms == 600_000
    assert long.state_ms == 100_000_000
    assert lives().state_ms == lives().keep_ms == 86_400_000


def test_the_clock_asks_at_first_and_when_its_answer_is_old() -> None:
    seconds = 5.0
    clock = ServerClock(lambda: seconds)
    assert clock.must_ask()

    clock.learn((1_700_000_000, 250_000))
    assert not clock.must_ask()
    assert clock.now_ms() == 1_700_000_000_250

    seconds += 9
    assert clock.now_ms() == 1_700_000_009_250
    assert not clock.must_ask()
    seconds += 2
    assert clock.must_ask()


def test_a_damaged_state_counts_as_none() -> None:
    assert State.parse([b"x", None, None]) == State()
    assert State.parse(ValueError("refused")) == State()
    assert State.parse([b"3", b"2", b"1"]).is_invalidated


def test_nothing_found_is_missing_even_under_a_flag() -> None:
    found = Found(None, flagged=True)

    assert judge(found, None, State(), now_ms=0, foreign_skew_ms=0) == Missing()
