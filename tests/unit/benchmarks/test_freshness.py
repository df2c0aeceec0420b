"""A short day of the freshness benchmark: it plays, it counts, and the schedule pays."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from benchmarks.freshness import calls_per_minute, check
from benchmarks.plot import Chart, Line
from benchmarks.simulated_day import Outcome, Policy, Way, play
from benchmarks.traffic import VAULTS_OF_A_USER, Traffic, day_of_traffic


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return day_of_traffic(vaults=2_000, sessions=400, seed=4)


@pytest.fixture(scope="module")
def adaptive(traffic: Traffic) -> Outcome:
    return play(Policy(Way.ADAPTIVE, 600, 0.5), traffic, seed=4)


def test_every_read_of_the_day_is_counted_and_the_budget_holds(
    traffic: Traffic, adaptive: Outcome
) -> None:
    check(adaptive, traffic)

    assert adaptive.right + adaptive.wrong + adaptive.waited == adaptive.reads
    assert adaptive.reads == len(traffic.views) * VAULTS_OF_A_USER
    assert adaptive.calls["refresh"] > 0


def test_the_schedule_answers_more_reads_right_than_a_fixed_ttl(
    traffic: Traffic, adaptive: Outcome
) -> None:
    """Fewer calls too is the claim of the whole day: so few vaults do not fill a request."""
    fixed = play(Policy(Way.TTL, 600), traffic, seed=4)

    assert adaptive.right > fixed.right


def test_the_schedule_answers_more_reads_right_for_fewer_calls_than_refreshing_everything_ahead(
    traffic: Traffic, adaptive: Outcome
) -> None:
    ahead = play(Policy(Way.AHEAD, 600), traffic, seed=4)

    assert adaptive.right > ahead.right
    assert calls_per_minute(adaptive) < calls_per_minute(ahead)


def test_a_day_is_the_same_each_time_it_is_played(traffic: Traffic) -> None:
    first, second = (play(Policy(Way.TTL, 300), traffic, seed=9) for _ in range(2))

    assert first == second


def test_a_chart_is_well_formed_and_draws_every_point() -> None:
    line = Line("a < b", [(2, 0, "low"), (20, 10, "high")])
    chart = Chart("title", "x", "y", (2, 20), (0, 10), [line])

    drawn = ET.fromstring(chart.draw())  # noqa: S314 - our own drawing

    circles = list(drawn.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(circles) == 2
    assert float(circles[0].attrib["cx"]) < float(circles[1].attrib["cx"])
    assert float(circles[0].attrib["cy"]) > float(circles[1].attrib["cy"])
