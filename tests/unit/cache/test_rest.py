"""When a server that does not answer is left alone, and when it is tried again."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cache.rest import REST_SECONDS, NodeRests, Rest
from domain.errors import CacheUnavailableError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rest(clock: Clock) -> Rest:
    return Rest(clock)


def ask(rest: Rest, error: BaseException | None = None) -> bool:
    """Ask one question that ends like this; return whether it was the one that tries."""
    with rest.asking() as is_trial:
        if error is not None:
            raise error
    return is_trial


def wait_in_vain(rest: Rest) -> None:
    with pytest.raises(RedisTimeoutError):
        ask(rest, RedisTimeoutError("silence"))


def is_refused(rest: Rest) -> bool:
    try:
        ask(rest)
    except CacheUnavailableError:
        return True
    return False


@pytest.mark.parametrize("silence", [RedisTimeoutError(), TimeoutError(), MasterNotFoundError()])
def test_after_one_silence_nobody_is_let_through_until_the_rest_is_over(
    rest: Rest, clock: Clock, silence: Exception
) -> None:
    with pytest.raises(type(silence)):
        ask(rest, silence)

    assert is_refused(rest)
    clock.now += REST_SECONDS - 0.01
    assert is_refused(rest)
    clock.now += 0.02
    assert ask(rest), "the one that tries"
    assert not ask(rest), "all are let through again"


def test_one_at_a_time_tries(rest: Rest, clock: Clock) -> None:
    wait_in_vain(rest)
    clock.now += REST_SECONDS

    with rest.asking() as is_trial:
        assert is_trial
        assert is_refused(rest)

    assert not rest.has_begun


def test_a_trial_in_vain_begins_another_rest(rest: Rest, clock: Clock) -> None:
    wait_in_vain(rest)
    clock.now += REST_SECONDS
    wait_in_vain(rest)

    assert is_refused(rest)
    clock.now += REST_SECONDS
    assert ask(rest)


@pytest.mark.parametrize("end", [asyncio.CancelledError(), RedisConnectionError("closed")])
def test_a_trial_that_learns_nothing_leaves_the_next_one_to_try(
    rest: Rest, clock: Clock, end: BaseException
) -> None:
    wait_in_vain(rest)
    clock.now += REST_SECONDS
    with pytest.raises(type(end)):
        ask(rest, end)

    assert rest.has_begun
    assert ask(rest)


def test_a_closed_port_is_asked_each_time(rest: Rest) -> None:
    with pytest.raises(RedisConnectionError):
        ask(rest, RedisConnectionError("closed"))

    assert not is_refused(rest)


def test_a_refusal_is_an_answer(rest: Rest, clock: Clock) -> None:
    wait_in_vain(rest)
    clock.now += REST_SECONDS
    with pytest.raises(ResponseError):
        ask(rest, ResponseError("WRONGTYPE"))

    assert not rest.has_begun


def test_one_slow_question_among_answered_ones_stops_nobody(rest: Rest, clock: Clock) -> None:
    question = rest.asking()
    question.__enter__()
    clock.now += 0.5
    ask(rest)
    clock.now += 0.5
    question.__exit__(RedisTimeoutError, RedisTimeoutError("silence"), None)

    assert not is_refused(rest)


def test_a_late_answer_ends_the_rest(rest: Rest, clock: Clock) -> None:
    with rest.asking():
        clock.now += 1
        wait_in_vain(rest)
        assert is_refused(rest)

    assert not is_refused(rest)


def test_begin_and_end_are_told_once_each(rest: Rest, clock: Clock) -> None:
    told: list[bool] = []
    rest.told = lambda *, is_resting: told.append(is_resting)

    wait_in_vain(rest)
    clock.now += REST_SECONDS
    wait_in_vain(rest)
    clock.now += REST_SECONDS
    ask(rest)
    ask(rest)

    assert told == [True, False]


def test_of_a_cluster_it_is_told_when_the_first_node_rests_and_when_none_does_any_more() -> None:
    whole = Rest()
    told: list[bool] = []
    whole.told = lambda *, is_resting: told.append(is_resting)
    nodes = NodeRests(whole)
    late = {name: nodes.asking(name) for name in ("a", "b")}
    for question in late.values():
        question.__enter__()
    for name in late:
        with pytest.raises(RedisTimeoutError), nodes.asking(name):
            raise RedisTimeoutError("silence")
    with nodes.asking("c") as is_trial:
        assert not is_trial
    seen = []
    for question in late.values():
        question.__exit__(None, None, None)  # a late answer
        seen.append(list(told))

    assert seen == [[True], [True, False]]
