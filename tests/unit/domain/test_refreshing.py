"""The arithmetic of refreshes: what one is worth, when it is due, who goes first, the price."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.refreshing import (
    HIGHEST_PRICE,
    LEAST_PRICE,
    Candidate,
    ChangeRecord,
    Claim,
    Habits,
    RefreshRules,
    appointment,
    appointment_after,
    choose,
    delay,
    worth,
)
from domain.values import Balance, Snapshot, StoredSnapshot

MINUTE, HOUR = 60.0, 3600.0
RULES = RefreshRules(
    fresh_seconds=600,
    soft_seconds=480,
    batch_size=2,
    calls_per_minute=6,
    interval_seconds=10,
    ahead_seconds=60,
)
RATES = st.floats(1e-7, 1.0)


def snapshot(number: int, amount: int = 1) -> Snapshot:
    return Snapshot(f"0x{number:064x}", 0, (Balance("0x" + "a" * 64, amount),), 5)


def candidate(number: int, *, reads: float = 10, age: float = 480, **changes: Any) -> Candidate:
    stored = StoredSnapshot(snapshot(number), 0, 1)
    given: dict[str, Any] = {"fresh": True, "record": ChangeRecord(), **changes}
    return Candidate(
        address=stored.snapshot.address, reads=reads, stored=stored, age_seconds=age, **given
    )


def claim(
    *candidates: Candidate, price: float = LEAST_PRICE, calls: int = 1, left: int = 0
) -> Claim:
    return Claim(candidates, price, calls, left, read_memory_seconds=1800)


@given(RATES, RATES, st.floats(1, 86_400))
def test_what_a_change_costs_is_the_integral_of_wrong_reads_that_a_refresh_saves(
    reads: float, changes: float, age: float
) -> None:
    """Against the definition: age * loss(age) less the losses up to there, by a sum."""
    assume(changes * age < 50)
    steps = 2_000
    step = age / steps
    losses = [-math.expm1(-changes * (i + 0.5) * step) for i in range(steps)]
    expected = reads * (age * -math.expm1(-changes * age) - sum(losses) * step)

    found = Habits(reads, changes).worth_of_change(age)

    assert found == pytest.approx(expected, rel=2e-3, abs=1e-9)


@given(RATES, RATES, st.floats(1e-3, 100))
def test_the_age_at_which_a_refresh_is_worth_the_price_is_found(
    reads: float, changes: float, price: float
) -> None:
    habits = Habits(reads, changes)

    age = habits.age_worth(price)

    if math.isinf(age):
        assert reads / changes <= price * (1 + 1e-9)
    elif changes * age < 30:
        assert habits.worth_of_change(age) == pytest.approx(price, rel=1e-3)


def test_whom_nobody_reads_is_worth_nothing() -> None:
    habits = Habits(0.0, 1 / HOUR)

    assert worth(habits, candidate(1, fresh=False), RULES) == 0
    assert math.isinf(habits.age_worth(LEAST_PRICE))


def test_one_price_for_all_loses_fewer_reads_than_one_interval_for_all() -> None:
    """The optimum of the theory, by the long-run losses themselves."""
    crowd = random.Random(5)
    habits = [Habits(10 ** crowd.uniform(-4, -1), 10 ** crowd.uniform(-5, -2)) for _ in range(300)]

    def losses(one: Habits, age: float) -> float:
        """Wrong reads a second when it is refreshed at this age for ever."""
        if math.isinf(age):
            return one.reads
        return one.reads * (1 + math.expm1(-one.changes * age) / (one.changes * age))

    ages = [one.age_worth(0.5) for one in habits]
    refreshes = sum(1 / age for age in ages)
    by_price = sum(losses(one, age) for one, age in zip(habits, ages, strict=True))
    by_interval = sum(losses(one, len(habits) / refreshes) for one in habits)

    assert by_price < 0.7 * by_interval


def test_what_changes_often_is_due_earlier_and_so_is_what_is_read_often() -> None:
    def due(reads: float, changes: float) -> float:
        return delay(Habits(reads, changes), 0, LEAST_PRICE, RULES)

    assert due(1 / MINUTE, 10 / HOUR) < due(1 / MINUTE, 1 / HOUR) < due(0.1 / MINUTE, 1 / HOUR)


def test_what_hardly_changes_is_due_before_its_fresh_life_ends() -> None:
    assert delay(Habits(1 / HOUR, 1e-9), 0, LEAST_PRICE, RULES) == RULES.soft_seconds


def test_what_is_read_too_seldom_for_the_price_may_lapse_and_is_looked_at_later() -> None:
    assert delay(Habits(1 / HOUR, 1e-9), 480, 0.5, RULES) == RULES.fresh_seconds


def test_a_dead_loop_of_refreshes_is_impossible() -> None:
    assert delay(Habits(1000.0, 1.0), 0, LEAST_PRICE, RULES) == 5


def test_changes_are_learnt_from_what_refreshes_find() -> None:
    quiet = busy = ChangeRecord()
    for _ in range(50):
        quiet, busy = quiet.after(300, changed=False), busy.after(300, changed=True)

    assert busy.per_second > 1 / (10 * MINUTE) > quiet.per_second


@pytest.mark.parametrize("changes_per_look", [0.05, 0.5, 2.0])
def test_the_rate_of_changes_is_estimated_although_several_look_like_one(
    changes_per_look: float,
) -> None:
    chance, seconds = random.Random(3), 300.0
    record = ChangeRecord()
    for _ in range(3_000):
        changed = chance.random() < -math.expm1(-changes_per_look)
        record = record.after(seconds, changed=changed)

    assert record.per_second * seconds == pytest.approx(changes_per_look, rel=0.35)


def test_old_changes_fade() -> None:
    record = ChangeRecord(changes=20, watched_seconds=HOUR)

    for _ in range(24 * 14):
        record = record.after(HOUR, changed=False)

    assert record.changes < 0.1


def test_the_worthiest_go_first_and_the_price_rises_for_the_rest() -> None:
    crowd = [candidate(n, reads=n) for n in range(1, 6)]

    choice = choose(claim(*crowd), RULES)

    assert [one.reads for one in choice.refreshed] == [5, 4]
    assert [one.reads for one in choice.later] == [1, 2, 3]
    assert choice.price > LEAST_PRICE


def test_a_request_that_is_made_anyway_is_filled_up() -> None:
    due, soon, later = candidate(1), candidate(2, due=False, reads=9), candidate(3, due=False)

    choice = choose(claim(due, later, soon, calls=3), RULES)

    assert [one.address for one in choice.refreshed] == [due.address, later.address]


def test_calls_that_are_left_go_to_the_best_of_those_that_are_due_also_below_the_price() -> None:
    choice = choose(claim(candidate(1), price=50.0, calls=3), RULES)

    assert len(choice.refreshed) == 1
    assert choice.price < 50


def test_nobody_is_fetched_only_because_there_is_room() -> None:
    worthless = candidate(1, reads=0)

    choice = choose(claim(worthless, candidate(2, due=False)), RULES)

    assert choice.refreshed == []
    assert len(choice.later) == 2


def test_the_price_falls_while_calls_are_left_and_never_below_the_least() -> None:
    falling = choose(claim(candidate(1), price=1e-1, calls=3), RULES)
    lowest = choose(claim(candidate(1), calls=3), RULES)

    assert falling.price < 1e-1
    assert lowest.price == LEAST_PRICE


def test_the_price_stays_while_the_budget_is_just_used() -> None:
    used = choose(claim(candidate(1), candidate(2), price=0.02), RULES)

    assert used.price == 0.02


def test_the_price_has_a_highest() -> None:
    crowd = [candidate(n, reads=1e9, age=480) for n in range(5)]

    assert choose(claim(*crowd, price=HIGHEST_PRICE, left=900), RULES).price <= HIGHEST_PRICE


def test_a_change_that_a_refresh_finds_brings_the_next_one_forward() -> None:
    one = candidate(1, reads=1000)
    claimed = claim(one)

    same = appointment_after(one, claimed, LEAST_PRICE, RULES, snapshot(1, amount=1))
    other = appointment_after(one, claimed, LEAST_PRICE, RULES, snapshot(1, amount=2))

    assert other.delay_seconds < same.delay_seconds


def test_a_change_that_was_announced_is_no_reason_to_look_more_often() -> None:
    one = candidate(1, announced=True, fresh=False)

    after = appointment_after(one, claim(one), LEAST_PRICE, RULES, snapshot(1, amount=2))

    assert after.record == ChangeRecord()


def test_who_was_not_taken_comes_again_when_it_is_worth_the_price() -> None:
    one = candidate(1, reads=1000, age=100)
    rate = 1000 / 1800
    price = worth(Habits(rate, one.record.per_second), candidate(1, age=200), RULES)

    assert appointment(one, claim(one), price, RULES).delay_seconds == pytest.approx(100, rel=1e-3)
