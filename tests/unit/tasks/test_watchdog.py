"""Which worker starves, and which is only idle or busy."""

from __future__ import annotations

from tasks.watchdog import Starvation


def test_a_worker_that_takes_nothing_of_what_waits_starves() -> None:
    starvation = Starvation()

    looks = [starvation.look(t, taken=0, busy=False, waiting=5) for t in (10.0, 20.0, 30.0)]

    assert looks == [0.0, 10.0, 20.0]


def test_an_idle_worker_does_not_starve() -> None:
    starvation = Starvation()

    assert [starvation.look(t, taken=0, busy=False, waiting=0) for t in (0.0, 99.0)] == [0.0, 0.0]


def test_a_busy_worker_does_not_starve_however_long_its_task_is() -> None:
    starvation = Starvation()

    assert [starvation.look(t, taken=1, busy=True, waiting=9) for t in (0.0, 999.0)] == [0.0, 0.0]


def test_each_message_that_is_taken_begins_the_time_anew() -> None:
    starvation = Starvation()
    starvation.look(0.0, taken=0, busy=False, waiting=9)

    assert starvation.look(50.0, taken=1, busy=False, waiting=9) == 0.0
    assert starvation.look(60.0, taken=1, busy=False, waiting=9) == 0.0
    assert starvation.look(70.0, taken=1, busy=False, waiting=9) == 10.0


def test_while_the_broker_is_away_nobody_is_blamed() -> None:
    starvation = Starvation()
    starvation.look(0.0, taken=0, busy=False, waiting=9)

    assert starvation.look(90.0, taken=0, busy=False, waiting=None) == 0.0
    assert starvation.look(91.0, taken=0, busy=False, waiting=9) == 0.0
