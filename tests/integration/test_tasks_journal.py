"""A message that a Redis broker lost on its way to a worker is found again."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from config.settings import Settings
from supervisor.valkey import EmbeddedServer
from tasks import journal
from tasks.headers import PUBLISHED_MS
from tasks.names import INVALIDATE, WARM_USER, Queue
from tasks.publisher import CeleryPublisher, open_publisher

ARGUMENTS = [["0x" + "1" * 64], 0, 5]


@pytest.fixture
async def publisher(broker_server: EmbeddedServer) -> AsyncIterator[CeleryPublisher]:
    settings = Settings(celery_broker_url=broker_server.url(8), broker_visibility_seconds=20)
    async with open_publisher(settings, seconds=5.0) as publisher:
        client(publisher).flushdb()
        yield publisher


def client(publisher: CeleryPublisher) -> Any:
    channel: Any = publisher._app.connection_for_write().default_channel
    return channel.client


def fall_silent(publisher: CeleryPublisher, message_id: str) -> None:
    """Let its last sign of life be long ago."""
    long_ago = time.time() - 20 - journal.MARGIN_SECONDS - 1
    client(publisher).zadd(journal.SEEN, {message_id: long_ago})


def wait_as_long(publisher: CeleryPublisher) -> None:
    """Let the message in the lane have been published when it last gave a sign of life."""
    message = json.loads(client(publisher).lpop(Queue.INVALIDATION.value))
    message["headers"][PUBLISHED_MS] -= 1000 * (20 + journal.MARGIN_SECONDS + 1)
    client(publisher).lpush(Queue.INVALIDATION.value, json.dumps(message))


async def test_what_was_taken_off_the_lane_and_never_worked_on_is_published_again(
    publisher: CeleryPublisher,
) -> None:
    message_id = await publisher.send(INVALIDATE, ARGUMENTS, queue=Queue.INVALIDATION)
    lost = client(publisher).rpop(Queue.INVALIDATION.value)  # and its taker is killed
    early = journal.publish_lost(publisher._app)
    fall_silent(publisher, message_id)
    found = journal.publish_lost(publisher._app)
    with publisher._app.connection_for_read() as connection:
        message = connection.SimpleQueue(Queue.INVALIDATION.value).get(timeout=5)
        message.ack()

    assert lost is not None
    assert (early, found) == (0, 1)
    assert message.headers["id"] == message_id
    assert message.payload[0] == ARGUMENTS


async def test_what_is_lost_is_found_although_the_lane_is_never_empty(
    publisher: CeleryPublisher,
) -> None:
    lost = await publisher.send(INVALIDATE, ARGUMENTS, queue=Queue.INVALIDATION)
    client(publisher).rpop(Queue.INVALIDATION.value)  # and its taker is killed
    fall_silent(publisher, lost)
    await publisher.send(INVALIDATE, ARGUMENTS, queue=Queue.INVALIDATION)

    assert journal.publish_lost(publisher._app) == 1


async def test_beside_messages_that_nobody_has_stamped_it_takes_longer_and_has_an_end(
    publisher: CeleryPublisher,
) -> None:
    lost = await publisher.send(INVALIDATE, ARGUMENTS, queue=Queue.INVALIDATION)
    client(publisher).rpop(Queue.INVALIDATION.value)
    fall_silent(publisher, lost)
    client(publisher).lpush(Queue.INVALIDATION.value, "{}")
    early = journal.publish_lost(publisher._app)
    long_ago = time.time() - journal.LONGEST_WAIT_SECONDS - journal.MARGIN_SECONDS - 1
    client(publisher).zadd(journal.SEEN, {lost: long_ago})

    assert early == 0
    assert journal.publish_lost(publisher._app) == 1


async def test_what_is_done_waits_or_may_expire_is_not_published_again(
    publisher: CeleryPublisher,
) -> None:
    done = await publisher.send(INVALIDATE, ARGUMENTS, queue=Queue.INVALIDATION)
    fall_silent(publisher, done)
    wait_as_long(publisher)
    still_in_its_lane = journal.publish_lost(publisher._app)
    client(publisher).rpop(Queue.INVALIDATION.value)
    journal.forget(publisher._app, done)
    await publisher.send(WARM_USER, ["ada"], queue=Queue.WARMUP, expires=60)

    assert still_in_its_lane == 0
    assert journal.publish_lost(publisher._app) == 0
    assert client(publisher).exists(journal.ACCEPTED, journal.SEEN) == 0


async def test_a_sign_of_life_keeps_it_from_being_published_again(
    publisher: CeleryPublisher,
) -> None:
    message_id = await publisher.send(INVALIDATE, ARGUMENTS, queue=Queue.INVALIDATION)
    client(publisher).rpop(Queue.INVALIDATION.value)
    fall_silent(publisher, message_id)
    journal.touch(publisher._app, message_id)

    assert journal.publish_lost(publisher._app) == 0
