"""Lets questions that are asked at the same time share a round trip.

A question that comes while nothing is under way goes at once and alone: it waits for nobody. While
it is under way others come; they are gathered and go together, each different question once. Two
round trips at most are under way at a time, so that a stampede of any size needs two connections
and a handful of commands.

Nobody joins what was sent already: an answer is never older than the moment of the question.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from domain.errors import (
    BalanceCacheError,
    CacheUnavailableError,
    PublishingError,
    RegistryUnavailableError,
)

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")

Send = Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]]
"""Asks different questions in one round trip; answers in their order."""

_UNAVAILABLE = (CacheUnavailableError, RegistryUnavailableError, PublishingError)
"""Whoever is asked does not answer: those who wait for their turn would wait in vain, too."""

_MOST_UNDER_WAY = 2
"""The next batch is gathered while one is on its way and one is being answered."""


class Apart(Generic[Question, Answer]):
    """Sends the questions of each caller in a round trip of their own."""

    def __init__(self, send: Send[Question, Answer]) -> None:
        self._send = send

    async def ask(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """Return the answer to each question, in their order."""
        return await self._send(questions)


@dataclass(eq=False, slots=True)
class _Call(Generic[Question, Answer]):
    """The questions of one caller, who waits."""

    questions: Sequence[Question]
    answered: asyncio.Future[Sequence[Answer]]

    def answer(self, answers: Mapping[Question, Answer]) -> None:
        if not self.answered.done():  # it is when the caller was cancelled
            self.answered.set_result([answers[question] for question in self.questions])

    def fail(self, error: BaseException) -> None:
        if self.answered.done():
            return
        if isinstance(error, _UNAVAILABLE):  # each caller adds its own traceback
            self.answered.set_exception(type(error)(*error.args))
        elif isinstance(error, asyncio.CancelledError):
            self.answered.cancel()
        else:
            self.answered.set_exception(error)


class Together(Apart[Question, Answer]):
    """Gathers the questions of all callers of one event loop.

    Args:
        send: asks; its error reaches every caller whose questions were in the batch.
        most: how many questions are gathered into one batch. One caller's questions are never
            taken apart: they are answered from one moment, however many there are.
    """

    def __init__(self, send: Send[Question, Answer], *, most: int) -> None:
        super().__init__(send)
        self._most = most
        self._under_way = 0
        self._calls: deque[_Call[Question, Answer]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_due = False

    async def ask(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """Return the answer to each question, in their order."""
        if not self._under_way and not self._calls:
            return await self._ask_alone(questions)
        loop = asyncio.get_running_loop()
        call: _Call[Question, Answer] = _Call(questions, loop.create_future())
        self._calls.append(call)
        if not self._is_due:  # at the end of this tick, with all who come in it
            self._is_due = True
            loop.call_soon(self._send_due)
        return await call.answered

    async def _ask_alone(self, questions: Sequence[Question]) -> Sequence[Answer]:
        self._under_way += 1
        try:
            return await self._send(questions)
        except _UNAVAILABLE as error:
            self._fail_waiting(error)
            raise
        finally:
            self._end()

    def _send_due(self) -> None:
        self._is_due = False
        while self._under_way < _MOST_UNDER_WAY and (batch := self._take()):
            self._under_way += 1
            task = asyncio.get_running_loop().create_task(self._ask_for(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _take(self) -> list[_Call[Question, Answer]]:
        """Take the calls of the next batch, the oldest first; none whose caller has gone."""
        batch: list[_Call[Question, Answer]] = []
        different: set[Question] = set()
        while self._calls:
            call = self._calls[0]
            more = sum(question not in different for question in call.questions)
            if batch and len(different) + more > self._most:
                break
            self._calls.popleft()
            if not call.answered.done():
                batch.append(call)
                different.update(call.questions)
        return batch

    async def _ask_for(self, batch: Sequence[_Call[Question, Answer]]) -> None:
        questions = list(dict.fromkeys(one for call in batch for one in call.questions))
        try:
            answers = dict(zip(questions, await self._send(questions), strict=True))
            for call in batch:
                call.answer(answers)
        except _UNAVAILABLE as error:
            self._calls.extendleft(reversed(batch))
            self._fail_waiting(error)
        except BaseException as error:
            for call in batch:
                call.fail(error)
            raise
        finally:
            self._end()

    def _fail_waiting(self, error: BalanceCacheError) -> None:
        """Tell those who wait for their turn as well: they would wait for the same time again."""
        while self._calls:
            self._calls.popleft().fail(error)

    def _end(self) -> None:
        self._under_way -= 1
        if self._calls:
            self._send_due()
