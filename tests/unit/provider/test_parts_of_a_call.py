"""Breaker, gate, heights, retries, lists and the local budget: one small machine each."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from domain.budget import LANE_SHARES, BudgetLimits
from domain.errors import (
    BudgetExhaustedError,
    CacheUnavailableError,
    MalformedAnswerError,
    NodeBehindError,
    NodeOverloadedError,
    TransientProviderError,
)
from domain.values import Lane
from provider.breaker import CircuitBreaker
from provider.budget import LocalCallBudget, SharedOrLocalBudget
from provider.gate import LaneGate
from provider.heights import UNCONFIRMED_SECONDS, HeightFloor
from provider.listing import DOUBT_SECONDS, ListedAssets
from provider.retries import RetryPolicy
from tests.fake_node import BASE_ASSET, address, asset
from tests.provider_support import until


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(failures=3, rest_seconds=1, longest_rest_seconds=8, clock=clock)


def test_a_breaker_opens_after_failures_in_a_row_and_tries_once_after_its_rest() -> None:
    clock = Clock()
    tested = breaker(clock)
    assert [tested.failed(), tested.failed(), tested.ready] == [False, False, True]
    assert tested.failed()
    assert not tested.ready
    clock.now += 1
    assert tested.ready
    tested.begin()
    assert not tested.ready, "one trial, not a crowd"
    tested.succeeded()
    assert tested.ready
    assert not tested.is_open


def test_a_success_between_failures_keeps_a_breaker_closed() -> None:
    tested = breaker(Clock())
    for _ in range(10):
        tested.failed()
        tested.failed()
        tested.succeeded()
    assert tested.ready


def test_each_failed_trial_doubles_the_rest_up_to_the_longest() -> None:
    clock = Clock()
    tested = breaker(clock)
    for _ in range(3):
        tested.failed()
    rests = []
    for _ in range(6):
        begun = clock.now
        while not tested.ready:
            clock.now += 0.1
        rests.append(clock.now - begun)
        tested.begin()
        tested.failed()
    assert all(rest <= 8.1 for rest in rests)
    assert all(rest >= 3.9 for rest in rests[3:])


def test_a_trial_that_never_ends_does_not_close_the_node_for_ever() -> None:
    clock = Clock()
    tested = breaker(clock)
    for _ in range(3):
        tested.failed()
    clock.now += 1
    tested.begin()
    clock.now += 8
    assert tested.ready


def test_a_node_that_wants_a_pause_has_it_although_it_did_not_fail_often() -> None:
    clock = Clock()
    tested = breaker(clock)
    tested.failed()
    tested.leave_alone(5)
    assert not tested.ready
    clock.now += 5
    assert tested.ready


def test_a_retry_waits_as_long_as_the_node_wishes() -> None:
    pause = RetryPolicy(base_seconds=0.1).pause(NodeOverloadedError("429", 3), 1)
    assert pause is not None
    assert 3 < pause <= 3.1


def test_a_trial_that_never_went_out_is_due_again() -> None:
    clock = Clock()
    tested = breaker(clock)
    for _ in range(3):
        tested.failed()
    clock.now += 1
    tested.begin()
    tested.abandoned()
    assert tested.ready
    assert tested.is_open


async def test_those_who_give_up_do_not_pile_up_behind_a_busy_lane() -> None:
    gate = LaneGate(1)

    async def enter() -> None:
        async with gate.enter(Lane.AUDIT):
            pass

    async with gate.enter(Lane.READ):
        waiting = [asyncio.ensure_future(enter()) for _ in range(50)]
        await asyncio.sleep(0)
        assert gate.waiting == 50
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert gate.waiting == 0


async def test_the_more_urgent_lane_passes_the_gate_first() -> None:
    gate, order = LaneGate(1), []

    async def pass_through(lane: Lane) -> None:
        async with gate.enter(lane):
            order.append(lane)

    async with gate.enter(Lane.AUDIT):
        waiting = [asyncio.ensure_future(pass_through(lane)) for lane in reversed(Lane)]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert order == list(Lane)


async def test_a_gate_loses_no_place_when_those_who_wait_give_up() -> None:
    gate = LaneGate(1)

    async def enter() -> None:
        async with gate.enter(Lane.READ):
            pass

    async with gate.enter(Lane.READ):
        waiting = [asyncio.ensure_future(enter()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
    waiting[1].cancel()  # its place was granted a moment ago
    await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(1):
        await enter()


def test_the_floor_follows_the_highest_height() -> None:
    floor = HeightFloor(Clock())
    for height in (5, 9, 7, None):
        floor.saw(height)
    assert floor.height == 9


def test_a_height_that_nobody_confirms_is_forgotten() -> None:
    clock = Clock()
    floor = HeightFloor(clock)
    floor.saw(4_000_000_000)
    floor.saw(120)
    clock.now += UNCONFIRMED_SECONDS
    floor.saw(119)
    assert floor.height == 4_000_000_000
    clock.now += 1
    floor.saw(118)
    assert floor.height == 120


def test_a_height_outlives_silence_and_lags_that_are_made_up() -> None:
    clock = Clock()
    floor = HeightFloor(clock)
    for _ in range(10):
        floor.saw(120)
        floor.saw(80)
        clock.now += UNCONFIRMED_SECONDS * 5
    assert floor.height == 120


def test_only_transient_failures_are_tried_again_and_never_for_ever() -> None:
    policy = RetryPolicy(attempts=3, behind_attempts=5)
    assert policy.pause(MalformedAnswerError("x"), 1) is None
    assert policy.pause(BudgetExhaustedError("x"), 1) is None
    overloaded = [policy.pause(NodeOverloadedError("x"), n) is None for n in range(1, 5)]
    assert overloaded == [False, False, True, True]
    behind = [policy.pause(NodeBehindError(2, 1), n) is None for n in range(1, 7)]
    assert behind == [False, False, False, False, True, True]


def test_pauses_grow_have_jitter_and_a_cap() -> None:
    policy = RetryPolicy(attempts=99, base_seconds=0.1, cap_seconds=2)
    for failures in range(1, 40):
        pauses = {policy.pause(NodeOverloadedError("x"), failures) for _ in range(20)}
        longest = min(2, 0.1 * 2 ** (failures - 1))
        assert all(p is not None and longest / 2 <= p <= longest for p in pauses)
        assert len(pauses) > 1


def test_a_list_that_got_shorter_is_doubted_for_a_while() -> None:
    clock = Clock()
    listed = ListedAssets(clock)
    listed.check(address(1), [BASE_ASSET, asset(1), asset(2)], BASE_ASSET)
    listed.check(address(1), [asset(1), asset(2)], BASE_ASSET)  # the base asset was spent
    with pytest.raises(TransientProviderError):
        listed.check(address(1), [BASE_ASSET, asset(1)], BASE_ASSET)
    listed.check(address(2), [], BASE_ASSET)
    clock.now += DOUBT_SECONDS
    listed.check(address(1), [asset(1)], BASE_ASSET)
    listed.check(address(1), [asset(1)], BASE_ASSET)


def test_shares_fall_from_the_most_urgent_lane_to_the_least() -> None:
    shares = [LANE_SHARES[lane] for lane in Lane]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1
    limits = BudgetLimits(1, 1, 1)
    assert all(limits.burst_of(lane) >= 1 and limits.under_way_of(lane) >= 1 for lane in Lane)


async def take(budget: LocalCallBudget, lane: Lane, seconds: float = 0.0) -> bool:
    try:
        async with budget.call(0, lane, timeout_seconds=seconds):
            return True
    except BudgetExhaustedError:
        return False


async def test_a_local_budget_gives_its_burst_then_its_rate() -> None:
    clock = Clock()
    budget = LocalCallBudget(BudgetLimits(calls_per_second=10, burst=4, under_way=100), clock)
    assert [await take(budget, Lane.INVALIDATION) for _ in range(6)] == [True] * 4 + [False] * 2
    clock.now += 0.21
    assert [await take(budget, Lane.INVALIDATION) for _ in range(3)] == [True, True, False]


async def test_low_lanes_leave_a_part_of_the_burst_to_the_urgent_ones() -> None:
    budget = LocalCallBudget(BudgetLimits(10, burst=10, under_way=100), Clock())
    taken = dict.fromkeys(Lane, 0)
    for lane in reversed(Lane):
        while await take(budget, lane):
            taken[lane] += 1
    assert taken == {
        Lane.AUDIT: 1,
        Lane.REFRESH: 2,
        Lane.WARMUP: 2,
        Lane.READ: 3,
        Lane.INVALIDATION: 2,
    }


async def test_a_budget_of_calls_under_way_is_given_back() -> None:
    budget = LocalCallBudget(BudgetLimits(1000, burst=1000, under_way=1))
    async with budget.call(0, Lane.READ, timeout_seconds=0):
        assert not await take(budget, Lane.READ)
        async with budget.call(9889, Lane.READ, timeout_seconds=0):
            pass  # another network has its own
        waiting = asyncio.ensure_future(take(budget, Lane.READ, 5))
        await asyncio.sleep(0)
    assert await waiting


class AwayBudget:
    """A shared budget whose store is away."""

    def __init__(self) -> None:
        self.asked = 0

    def call(self, *_: object, **__: object) -> AwayBudget:
        return self

    async def __aenter__(self) -> None:
        self.asked += 1
        raise CacheUnavailableError("Redis is away")

    async def __aexit__(self, *_: object) -> None:
        raise AssertionError("it was never entered")


async def test_while_the_shared_budget_is_away_the_local_share_holds() -> None:
    local = LocalCallBudget(BudgetLimits(10, burst=8, under_way=8).share(0.25), Clock())
    away = AwayBudget()
    budget = SharedOrLocalBudget(away, local)
    for _ in range(2):
        async with budget.call(0, Lane.INVALIDATION, timeout_seconds=0):
            pass
    with pytest.raises(BudgetExhaustedError):
        async with budget.call(0, Lane.INVALIDATION, timeout_seconds=0):
            pass
    assert away.asked == 3


async def test_an_error_inside_a_call_is_not_taken_for_the_budgets() -> None:
    local = LocalCallBudget(BudgetLimits(10, burst=8, under_way=1))
    budget = SharedOrLocalBudget(local, AwayBudget())
    with pytest.raises(CacheUnavailableError, match="inside"):
        async with budget.call(0, Lane.READ, timeout_seconds=0):
            raise CacheUnavailableError("inside")
    await until(lambda: take(local, Lane.READ))
