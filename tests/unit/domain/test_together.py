"""How callers share round trips."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from domain.errors import CacheUnavailableError
from domain.together import Together


class Line:
    """A slow line: each batch is answered, in turn, when the test says so."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.answers: list[asyncio.Future[None]] = []
        self.under_way = 0

    async def send(self, questions: Sequence[int]) -> list[str]:
        self.batches.append(list(questions))
        answer = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        self.under_way += 1
        try:
            await answer
        finally:
            self.under_way -= 1
        return [str(question) for question in questions]


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def together(line: Line) -> Together[int, str]:
    return Together(line.send, most=4)


def ask(together: Together[int, str], *questions: int) -> asyncio.Task[Sequence[str]]:
    async def bounded() -> Sequence[str]:
        async with asyncio.timeout(10):
            return await together.ask(questions)

    return asyncio.create_task(bounded())


async def tick() -> None:
    """Let everything that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_comes_first_waits_for_nobody(line: Line, together: Together[int, str]) -> None:
    first = ask(together, 1, 2)
    await tick()
    line.answers[0].set_result(None)

    assert await first == ["1", "2"]
    assert line.batches == [[1, 2]]


async def test_who_comes_in_one_tick_goes_together_and_each_question_once(
    line: Line, together: Together[int, str]
) -> None:
    ask(together, 9)
    readers = [ask(together, *some) for some in ((1, 2), (2, 3), (1,), (3, 1))]
    await tick()

    assert line.batches == [[9], [1, 2, 3]]
    line.answers[1].set_result(None)
    told = [await reader for reader in readers]
    assert told == [["1", "2"], ["2", "3"], ["1"], ["3", "1"]]


async def test_two_are_under_way_at_most_and_the_rest_gathers(
    line: Line, together: Together[int, str]
) -> None:
    ask(together, 1)
    await tick()
    ask(together, 2)
    await tick()
    third, fourth = ask(together, 3), ask(together, 4)
    await tick()
    assert line.batches == [[1], [2]]

    line.answers[0].set_result(None)
    await tick()

    assert line.batches == [[1], [2], [3, 4]]
    assert line.under_way == 2
    line.answers[2].set_result(None)
    assert [await third, await fourth] == [["3"], ["4"]]


async def test_nobody_joins_what_was_sent(line: Line, together: Together[int, str]) -> None:
    """An answer that was on its way before the question would be older than the question."""
    ask(together, 9)
    early = ask(together, 1)
    await tick()
    late = ask(together, 1)
    await tick()
    line.answers[1].set_result(None)

    assert await early == ["1"]
    await tick()
    assert not late.done()
    assert line.batches == [[9], [1], [1]]
    line.answers[2].set_result(None)
    assert await late == ["1"]


async def test_a_batch_is_bounded_and_no_callers_questions_are_taken_apart(
    line: Line, together: Together[int, str]
) -> None:
    ask(together, 0)
    readers = [ask(together, *some) for some in ((1, 2), (2, 3), (4, 5, 6), range(10, 20))]
    for _ in range(4):
        await tick()
        for answer in line.answers:
            if not answer.done():
                answer.set_result(None)
    for reader in readers:
        await reader

    assert line.batches == [[0], [1, 2, 3], [4, 5, 6], [*range(10, 20)]]


async def test_an_error_reaches_every_caller_and_who_waits_for_the_next_turn(
    line: Line, together: Together[int, str]
) -> None:
    alone = ask(together, 9)
    batch = [ask(together, number) for number in (1, 2)]
    await tick()
    waiting = ask(together, 3)
    await tick()
    line.answers[1].set_exception(CacheUnavailableError("gone"))
    outcomes = await asyncio.gather(*batch, waiting, return_exceptions=True)

    assert [str(outcome) for outcome in outcomes] == ["gone"] * 3
    assert len({id(outcome) for outcome in outcomes}) == 3, "each has a traceback of its own"
    line.answers[0].set_result(None)
    assert await alone == ["9"], "what is on another line is not harmed"
    again = ask(together, 4)
    await tick()
    line.answers[-1].set_result(None)
    assert await again == ["4"]


async def test_the_error_of_who_went_alone_reaches_who_waits(
    line: Line, together: Together[int, str]
) -> None:
    alone, second = ask(together, 1), ask(together, 2)
    await tick()
    waiting = ask(together, 3)
    await tick()
    line.answers[0].set_exception(CacheUnavailableError("gone"))

    told = await asyncio.gather(alone, waiting, return_exceptions=True)

    assert [type(one) for one in told] == [CacheUnavailableError] * 2
    line.answers[1].set_result(None)
    assert await second == ["2"]


async def test_a_mistake_of_ours_leaves_nobody_waiting(
    line: Line, together: Together[int, str]
) -> None:
    ask(together, 9)
    batch = [ask(together, number) for number in (1, 2)]
    await tick()
    line.answers[1].set_exception(KeyError("mistake"))

    assert [type(one) for one in await asyncio.gather(*batch, return_exceptions=True)] == [
        KeyError,
        KeyError,
    ]


@pytest.mark.parametrize("gone", [0, 1, 2])
async def test_a_caller_who_is_cancelled_harms_no_other(
    line: Line, together: Together[int, str], gone: int
) -> None:
    readers = [ask(together, number) for number in (1, 2, 2, 3)]
    await tick()
    readers[gone].cancel()
    await tick()
    for answer in line.answers:
        if not answer.done():
            answer.set_result(None)

    told = await asyncio.gather(*readers, return_exceptions=True)

    assert isinstance(told[gone], asyncio.CancelledError)
    assert [one for one in told if isinstance(one, list)] == [
        [str(number)] for at, number in enumerate((1, 2, 2, 3)) if at != gone
    ]


async def test_nobody_asks_for_who_has_gone_before_its_turn(
    line: Line, together: Together[int, str]
) -> None:
    for number in (1, 2):
        ask(together, number)
        await tick()
    third = ask(together, 3)
    await tick()
    third.cancel()
    await tick()
    for answer in line.answers:
        answer.set_result(None)
    await tick()

    assert line.batches == [[1], [2]]
    assert line.under_way == 0
