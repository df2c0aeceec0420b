from __future__ import annotations

import statistics

import pytest

from devnet.latency import Distribution, Latency
from domain.errors import InvalidValueError


def draws(latency: Latency, times: int = 2000) -> list[float]:
    return [latency.draw_seconds() for _ in range(times)]


def test_a_fixed_latency_is_always_the_same() -> None:
    assert set(draws(Latency(milliseconds=500))) == {0.5}


def test_a_uniform_latency_stays_in_its_bounds() -> None:
    found = draws(Latency(Distribution.UNIFORM, milliseconds=100, most_milliseconds=300))
    assert 0.1 <= min(found) < 0.11
    assert 0.29 < max(found) <= 0.3


def test_the_milliseconds_of_a_lognormal_latency_are_its_median() -> None:
    found = draws(Latency(Distribution.LOGNORMAL, milliseconds=500, sigma=0.5))
    assert 0.45 < statistics.median(found) < 0.55
    assert max(found) > 1


def test_one_seed_draws_the_same_latencies() -> None:
    def seeded(seed: int) -> list[float]:
        return draws(Latency(Distribution.LOGNORMAL, milliseconds=5, seed=seed), 10)

    assert seeded(1) == seeded(1) != seeded(2)


def test_a_latency_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="not negative"):
        Latency(milliseconds=-1)
    with pytest.raises(InvalidValueError, match="less than"):
        Latency(Distribution.UNIFORM, milliseconds=2, most_milliseconds=1)
