"""What a Redis broker has accepted is written down beside its lanes until its work is done.

kombu takes a message out of a Redis list first and notes it as unacknowledged second: whoever is
killed between the two steps, the worker or the broker, loses it. So a message that never expires is
also kept in the journal, on the broker, and one that shows no sign of life for long is published
again under its own id. RabbitMQ needs none of this: there a message belongs to the broker until it
is acknowledged.

Keys on the broker, 30 days after the last entry: ``bc:accepted`` (hash, id -> message) and
``bc:accepted:seen`` (sorted set, id -> last sign of life).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from celery import Celery

from tasks.headers import age_seconds
from tasks.names import Queue
from tasks.settings import is_rabbitmq
from tasks.unanswered import UNANSWERED

ACCEPTED = "bc:accepted"
SEEN = "bc:accepted:seen"
MARGIN_SECONDS = 15
"""Beyond the visibility timeout: until then Redis itself brings a killed worker's message back."""

LONGEST_WAIT_SECONDS = 600
"""In a lane whose messages are not stamped (others publish too) nothing waits for longer."""

_LIFE_SECONDS = 30 * 86_400
_PORTION = 100
_log = structlog.get_logger("tasks")


def note(
    app: Celery,
    message_id: str,
    *,
    name: str,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    queue: str,
) -> None:
    """Write a message down before it is published.

    Raises:
        kombu.exceptions.OperationalError: the broker does not answer; nothing was accepted.
    """
    if is_rabbitmq(app.conf.broker_url):
        return
    entry = json.dumps([name, list(args), dict(kwargs), queue])

    def write(client: Any) -> None:
        pipe = client.pipeline()
        pipe.hset(ACCEPTED, message_id, entry)
        pipe.zadd(SEEN, {message_id: time.time()})
        pipe.expire(ACCEPTED, _LIFE_SECONDS)
        pipe.expire(SEEN, _LIFE_SECONDS)
        pipe.execute()

    _with_client(app, write)


def touch(app: Celery, message_id: str) -> None:
    """Give a sign of life: the message is being worked on, or will be tried again."""
    if not is_rabbitmq(app.conf.broker_url):
        with suppress(*UNANSWERED):  # at worst the message runs once more
            _with_client(app, lambda client: client.zadd(SEEN, {message_id: time.time()}, xx=True))


def forget(app: Celery, message_id: str) -> None:
    """Cross a message out: its work is done, or it has become a dead letter."""
    if is_rabbitmq(app.conf.broker_url):
        return

    def erase(client: Any) -> None:
        client.pipeline().hdel(ACCEPTED, message_id).zrem(SEEN, message_id).execute()

    with suppress(*UNANSWERED):
        _with_client(app, erase)


def publish_lost(app: Celery) -> int:
    """Publish again what shows no sign of life; return how many.

    What is in the lane only waits. Lanes are first in, first out: nothing in it has been silent
    for longer than the message that is taken next has waited, however full it is kept.

    Raises:
        kombu.exceptions.OperationalError: the broker does not answer.
    """
    if is_rabbitmq(app.conf.broker_url):
        return 0
    silent = app.conf.broker_transport_options["visibility_timeout"] + MARGIN_SECONDS

    def find(client: Any) -> list[tuple[str, list[Any]]]:
        since = time.time() - max(silent, _longest_wait(client) + MARGIN_SECONDS)
        overdue = client.zrangebyscore(SEEN, "-inf", since, 0, _PORTION)
        entries = client.hmget(ACCEPTED, overdue) if overdue else []
        found = [(i.decode(), json.loads(e)) for i, e in zip(overdue, entries, strict=True) if e]
        if overdue:
            client.zadd(SEEN, dict.fromkeys(overdue, time.time()), xx=True)
        return found

    lost = _with_client(app, find)
    for message_id, (name, args, kwargs, queue) in lost:
        _log.warning("task.found_again", task=name, message_id=message_id)
        app.send_task(
            name, args=args, kwargs=kwargs, queue=queue, task_id=message_id, ignore_result=True
        )
    return len(lost)


def _longest_wait(client: Any) -> float:
    """Return how long the message that is taken next from the lane has waited, in seconds."""
    message = client.lindex(Queue.INVALIDATION.value, -1)  # the end from which workers take
    if message is None:
        return 0.0
    try:
        age = age_seconds(json.loads(message).get("headers"))
    except (ValueError, AttributeError):
        age = None
    return LONGEST_WAIT_SECONDS if age is None else age


def _with_client(app: Celery, work: Any) -> Any:
    """Run the work with the broker's own Redis client, once more on a connection that has died."""
    with app.producer_or_acquire() as producer:
        connection = producer.connection

        def run() -> Any:
            return work(connection.default_channel.client)

        return connection.ensure(
            producer, run, max_retries=1, interval_start=0, interval_step=0, interval_max=0
        )()
