"""Publishing from a task: what follows, at once or after a delay, on either broker.

On Redis a delay is Celery's own countdown. RabbitMQ's quorum queues know no countdown that does not
block a worker (a worker cannot take more than it works on); there a delayed message waits in a
queue for waiting until it expires, and the broker then moves it to its lane. A queue expires at its
head only, so that delays of one size have a queue for themselves (docs/decisions/0059).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from celery import Task, signals
from kombu import Exchange
from kombu import Queue as BrokerQueue

from tasks import journal
from tasks.app import app
from tasks.names import CONFIRM_SECONDS, Queue
from tasks.settings import is_rabbitmq

_delay_seconds: ContextVar[float] = ContextVar("delay_seconds", default=0.0)


DELAY_STEPS_SECONDS = (1, 2, 4, 8, 16, 32, 64)
"""The greatest delay that waits in each queue; longer ones wait in the last."""


def _waiting_name(queue: Queue, step_seconds: int) -> str:
    return f"{queue.value}.later.{step_seconds}"


_WAITING_NAMES = frozenset(
    _waiting_name(queue, step) for queue in Queue for step in DELAY_STEPS_SECONDS
)


@dataclass(frozen=True, slots=True)
class Follow:
    """A task that a finished one asks for.

    Attributes:
        name: the task's name.
        args: its arguments.
        queue: its lane.
        expires_seconds: when nobody needs it any more; None: never.
        delay_seconds: how long it waits first; far below the visibility timeout.
    """

    name: str
    args: tuple[object, ...]
    queue: Queue
    expires_seconds: float | None = None
    delay_seconds: float = 0.0


def publish(follows: Sequence[Follow]) -> None:
    """Publish what follows.

    Raises:
        kombu.exceptions.OperationalError: the broker does not take it.
    """
    for follow in follows:
        message_id = uuid4().hex
        if follow.expires_seconds is None:
            journal.note(
                app,
                message_id,
                name=follow.name,
                args=follow.args,
                kwargs={},
                queue=follow.queue.value,
            )
        with waiting(follow.delay_seconds):
            app.send_task(
                follow.name,
                args=follow.args,
                task_id=message_id,
                expires=follow.expires_seconds,
                ignore_result=True,
                confirm_timeout=CONFIRM_SECONDS,
                **_routed(follow.queue, follow.delay_seconds),
            )


def publish_again(
    task: Task[..., None],
    error: Exception,
    args: tuple[object, ...],
    *,
    delay_seconds: float,
    limit: int | None,
) -> None:
    """Publish the message that is being worked on again, and end this delivery.

    Raises:
        celery.exceptions.Retry: always, unless the broker does not take it.
        celery.exceptions.Reject: the broker does not take it.
    """
    queue = lane_of(task)
    options = _routed(queue, delay_seconds) if is_rabbitmq(app.conf.broker_url) else {}
    options.setdefault("countdown", delay_seconds if not options else 0)
    options["confirm_timeout"] = CONFIRM_SECONDS
    with waiting(delay_seconds):
        task.retry(args=args, kwargs={}, exc=error, max_retries=limit, **options)


def lane_of(task: Task[..., None]) -> Queue:
    """Return the lane that the message came through, or else the task's own."""
    information: dict[str, Any] = {**(task.request.delivery_info or {})}
    # Celery keeps the options of a task as attributes, which its types do not tell.
    lane = information.get("routing_key")
    return Queue(lane) if lane in set(Queue) else Queue(getattr(task, "queue"))  # noqa: B009


def _routed(queue: Queue, delay_seconds: float) -> dict[str, Any]:
    """Return how to publish to a lane so that a worker gets it after the delay."""
    if delay_seconds <= 0:
        return {"queue": queue.value}
    if not is_rabbitmq(app.conf.broker_url):
        return {"queue": queue.value, "countdown": delay_seconds}
    put_off = waiting_queue(queue, delay_seconds)
    return {
        "queue": put_off,
        "exchange": "",
        "routing_key": put_off.name,
    }


@contextmanager
def waiting(delay_seconds: float) -> Iterator[None]:
    """Let what is published meanwhile wait that long, if it goes to a queue for waiting."""
    before = _delay_seconds.set(delay_seconds)
    try:
        yield
    finally:
        _delay_seconds.reset(before)


@signals.before_task_publish.connect
def _wait(properties: dict[str, Any], routing_key: str | None = None, **_: Any) -> None:
    """Celery takes a task's expiry for the message's: it would wait until nobody needs it."""
    if routing_key in _WAITING_NAMES:
        properties["expiration"] = _delay_seconds.get()


def waiting_queue(queue: Queue, delay_seconds: float) -> BrokerQueue:
    """Return RabbitMQ's queue in which messages of a lane wait for about so long.

    Between a second and the last step nothing in it delays another message to twice its own delay.
    """
    last = DELAY_STEPS_SECONDS[-1]
    step = next((step for step in DELAY_STEPS_SECONDS if delay_seconds <= step), last)
    return _waiting_queue(queue, step)


def waiting_queues(queue: Queue) -> list[BrokerQueue]:
    """Return all queues in which messages of a lane wait on RabbitMQ."""
    return [_waiting_queue(queue, step) for step in DELAY_STEPS_SECONDS]


def declare_waiting_queues() -> None:
    """Declare them all ahead of the first message that waits (RabbitMQ).

    A quorum queue whose server dies within a second after it was declared may come up without a
    leader, and nothing that is published to it is ever confirmed (seen on 3.10).

    Raises:
        kombu.exceptions.OperationalError: the broker does not answer.
    """
    if is_rabbitmq(app.conf.broker_url):
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=app.conf.broker_connection_timeout)
            for queue in Queue:
                for put_off in waiting_queues(queue):
                    put_off(connection.default_channel).declare()


def _waiting_queue(queue: Queue, step_seconds: int) -> BrokerQueue:
    name = _waiting_name(queue, step_seconds)
    return BrokerQueue(
        name,
        Exchange(""),
        routing_key=name,
        queue_arguments={
            "x-queue-type": "quorum",
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": queue.value,
            # A message that expires is not lost on its way to the lane.
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )
