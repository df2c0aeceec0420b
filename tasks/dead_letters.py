"""Messages that nobody can work on leave their lane for a list that an operator can replay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import structlog
from celery import Task
from celery.exceptions import Reject

from cache.dead_letters import DeadLetter, DeadLetters
from tasks.delivery import current_delivery
from tasks.later import lane_of
from tasks.loop import process_loop
from tasks.parts import Parts
from tasks.publisher import CeleryPublisher

MOST_DELIVERIES = 20
"""Deliveries without an orderly end: a message that so often met a killed process kills it."""

_BURY_SECONDS = 5.0
_Result = TypeVar("_Result")
_log = structlog.get_logger("tasks")


class PoisonError(Exception):
    """The process that works on this message keeps dying."""


def counted(
    work: Callable[[Parts], Awaitable[_Result]],
) -> Callable[[Parts], Awaitable[_Result]]:
    """Return the work with its deliveries counted.

    Raises (when run):
        PoisonError: too many of them had no end.
    """

    async def run(parts: Parts) -> _Result:
        message_id = current_delivery().message_id
        deliveries = await parts.dead_letters.delivered(message_id)
        try:
            if deliveries > MOST_DELIVERIES:
                raise PoisonError(f"delivered {deliveries} times, and never an end")
            return await work(parts)
        finally:
            await parts.dead_letters.ended(message_id)

    return run


def bury(
    task: Task[..., None],
    args: Sequence[object],
    error: Exception,
    kwargs: Mapping[str, object],
) -> None:
    """Keep the message that is being worked on.

    Raises:
        celery.exceptions.Reject: it cannot be kept now; it goes back to its lane.
    """
    letter = DeadLetter(
        task=task.name,
        args=args,
        kwargs=kwargs,
        queue=lane_of(task).value,
        message_id=current_delivery().message_id,
        reason=f"{type(error).__name__}: {error}",
    )
    try:
        process_loop.run(lambda parts: keep(parts, letter, error), deadline_seconds=_BURY_SECONDS)
    except Exception as unkept:  # noqa: BLE001 - see below
        # Whatever it is (a cache that is away, parts that cannot be opened, a soft time limit):
        # Celery drops the message after any error but this one.
        raise Reject(unkept, requeue=True) from error


async def keep(parts: Parts, letter: DeadLetter, error: Exception | None = None) -> None:
    """Keep a message, and say so with all of it and the traceback: a log outlives a cache."""
    await parts.dead_letters.add(letter)
    _log.error(
        "task.dead_letter",
        task=letter.task,
        args=list(letter.args),
        kwargs=dict(letter.kwargs),
        message_id=letter.message_id,
        reason=letter.reason,
        exc_info=error,
    )


async def replay(dead_letters: DeadLetters, publisher: CeleryPublisher) -> int:
    """Publish every dead letter again as it was; return how many.

    One whose publish fails stays, and so do those behind it.

    Raises:
        PublishingError: the broker does not take it.
        CacheUnavailableError: the list cannot be read.
    """
    letters = await dead_letters.listed()
    for letter in letters:
        await publisher.send(letter.task, letter.args, queue=letter.queue, kwargs=letter.kwargs)
        await dead_letters.remove(letter.entry_id)
    return len(letters)
