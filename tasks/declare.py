"""The one way to declare a task: typed options, and what is done with each kind of failure.

Celery takes a misspelt option in silence; `declare_task` does not. A body is a coroutine that
gets the process's parts and the arguments of the message. It returns what comes next.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeAlias

import structlog
from amqp.exceptions import AMQPError
from celery import Task
from celery.exceptions import Reject, Retry, SoftTimeLimitExceeded
from kombu.exceptions import OperationalError

from domain.errors import (
    CacheUnavailableError,
    InvalidValueError,
    RegistryUnavailableError,
    TransientProviderError,
    UnknownNetworkError,
    UnknownUserError,
)
from tasks import journal
from tasks.app import app
from tasks.dead_letters import bury, counted
from tasks.delivery import set_delivery
from tasks.later import Follow, publish, publish_again
from tasks.loop import process_loop
from tasks.names import Queue
from tasks.parts import Parts

_Arguments = ParamSpec("_Arguments")

MAX_RETRY_SECONDS = 15.0
"""The longest wait before another try: well below the visibility timeout."""

_FIRST_RETRY_SECONDS = 0.25
_GRACE_SECONDS = 5
_SHOWN_CHARACTERS = 300

_REFUSALS = (InvalidValueError, UnknownNetworkError, UnknownUserError)
_TRANSIENT = (
    CacheUnavailableError,
    RegistryUnavailableError,
    TransientProviderError,
    SoftTimeLimitExceeded,
    TimeoutError,
    AMQPError,  # what RabbitMQ answers about its queues while it starts, and kombu passes on
)
_log = structlog.get_logger("tasks")


class UnfinishedError(Exception):
    """Part of the work is left: the task is to run again later with these arguments."""

    def __init__(self, why: str, args: tuple[object, ...]) -> None:
        super().__init__(why)
        self.remaining = args


Body: TypeAlias = Callable[Concatenate[Parts, _Arguments], Awaitable[Sequence[Follow]]]


def declare_task(
    name: str,
    *,
    queue: Queue,
    deadline_seconds: int,
    expires_seconds: float | None,
    retries: int | None,
) -> Callable[[Body[_Arguments]], Task[..., None]]:
    """Declare a task.

    What the body raises decides: a refusal (an invalid value, an unknown network or user) is
    logged and not tried again; a transient error and `UnfinishedError` are tried again with a
    growing, jittered wait; everything else is a bug and fails the task with its traceback. A
    message that never expires and cannot be worked on becomes a dead letter.

    Args:
        name: the stable name that others enqueue by.
        queue: the lane it goes through, also when enqueued by `apply_async` alone.
        deadline_seconds: when the body is cancelled, and tried again.
        expires_seconds: when nobody needs it any more; None: never.
        retries: how often it is tried again; None: until it is done.
    """

    def declare(body: Body[_Arguments]) -> Task[..., None]:
        signature = inspect.signature(body)
        work: Callable[..., Awaitable[Sequence[Follow]]] = body

        def run(task: Task[..., None], *args: Any, **kwargs: Any) -> None:
            set_delivery(task.request.id, task.request.retries or 0)
            try:
                given = signature.bind(None, *args, **kwargs).args[1:]
            except TypeError as error:
                _refuse(task, args, error, kwargs)
                raise InvalidValueError(f"wrong arguments: {error}") from error
            _run_body(task, lambda parts: work(parts, *given), given, deadline_seconds)

        # Flower and `help()` show the body's own words and arguments.
        update_wrapper(run, body, assigned=("__module__", "__doc__"))
        return app.task(
            name=name,
            bind=True,
            typing=False,  # our own check refuses instead of raising
            queue=queue.value,
            expires=expires_seconds,
            max_retries=retries,
            ignore_result=True,
            acks_late=True,
            reject_on_worker_lost=True,
            # A child that had to be killed at the hard limit leaves its message unacknowledged.
            acks_on_failure_or_timeout=expires_seconds is not None,
            soft_time_limit=deadline_seconds + _GRACE_SECONDS,
            time_limit=deadline_seconds + 2 * _GRACE_SECONDS,
            serializer="json",
            # Logged above in one line; Celery need not add a traceback.
            throws=(*_REFUSALS, *_TRANSIENT, UnfinishedError),
        )(run)

    return declare


def _run_body(
    task: Task[..., None],
    work: Callable[[Parts], Awaitable[Sequence[Follow]]],
    args: tuple[object, ...],
    deadline_seconds: int,
) -> None:
    if task.expires is None:
        work = counted(work)
    try:
        follows = process_loop.run(work, deadline_seconds=deadline_seconds)
        publish(follows)
        _cross_out(task)
    except _REFUSALS as error:
        _refuse(task, args, error)
        raise
    except UnfinishedError as unfinished:
        _try_again(task, unfinished, unfinished.remaining)
    except OperationalError as error:
        # The broker takes no new message, so a retry cannot be published either: the message
        # that we hold goes back as it is.
        raise Reject(error, requeue=True) from error
    except _TRANSIENT as error:
        _try_again(task, error, args)
    except Exception as error:
        # The boundary to whatever is broken: Celery logs the traceback, we keep the message.
        _keep_if_wanted(task, args, error)
        raise


def _refuse(
    task: Task[..., None],
    args: tuple[object, ...],
    error: Exception,
    kwargs: Mapping[str, object] | None = None,
) -> None:
    _log.error("task.refused", task=task.name, args=_shown(args), reason=str(error))
    _keep_if_wanted(task, args, error, kwargs)


def _keep_if_wanted(
    task: Task[..., None],
    args: tuple[object, ...],
    error: Exception,
    kwargs: Mapping[str, object] | None = None,
) -> None:
    """Keep a message that must not be lost: one that never expires."""
    if task.expires is None:
        bury(task, args, error, kwargs or {})
        _cross_out(task)


def _cross_out(task: Task[..., None]) -> None:
    """A message that never expires is in the journal until here."""
    if task.expires is None and task.request.id is not None:
        journal.forget(app, task.request.id)


def _try_again(task: Task[..., None], error: Exception, args: tuple[object, ...]) -> None:
    """Publish the task again, or fail it when it was tried often enough."""
    retries, limit = task.request.retries, task.max_retries
    if limit is not None and retries >= limit:
        _log.error("task.given_up", task=task.name, args=_shown(args), reason=str(error))
        _keep_if_wanted(task, args, error)
        raise error
    delay = retry_delay(retries)
    _log.warning(
        "task.tried_again_later",
        task=task.name,
        attempt=retries + 1,
        seconds=round(delay, 2),
        reason=str(error) or type(error).__name__,
    )
    try:
        if task.expires is None and task.request.id is not None:
            journal.touch(app, task.request.id)
        publish_again(task, error, args, delay_seconds=delay, limit=limit)
    except Retry:
        raise
    except Exception as unpublished:  # noqa: BLE001 - see below
        # Celery drops the message when the retry cannot be published, or when a soft time limit
        # ends the try; accepted means done.
        raise Reject(unpublished, requeue=True) from error


def retry_delay(retries: int) -> float:
    """Return the seconds before the next try: doubling up to a limit, jittered by a half."""
    limit: float = min(MAX_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2 ** min(retries, 10))
    return limit * random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret


def _shown(args: tuple[object, ...]) -> str:
    text = repr(args)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
