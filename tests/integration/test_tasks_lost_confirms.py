"""RabbitMQ's confirm of a message may never come: nobody who publishes waits for it for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from balance_cache_client import tasks as client
from balance_cache_client.tasks import TaskSender
from celery import Celery

from config.settings import Settings
from tasks import later, publisher
from tasks.later import Follow
from tasks.names import REFILL, Queue
from tasks.settings import celery_configuration
from tests.gap_support import Gap
from tests.rabbitmq_support import PrivateRabbit

ARGS = (["0x" + "1" * 64], 0, 1)
SECONDS = 10.0


@pytest.fixture
def gap(rabbit_server: PrivateRabbit) -> Gap:
    return Gap(rabbit_server.port)


@pytest.fixture
async def settings(rabbit_server: PrivateRabbit, gap: Gap) -> AsyncIterator[Settings]:
    """Of a broker that the link leads to."""
    url = rabbit_server.host().url
    async with gap.listening() as port:
        yield Settings(celery_broker_url=url.replace(str(rabbit_server.port), str(port)))


def lose_confirms(gap: Gap) -> None:
    """What is sent over the links of today is swallowed; new ones work."""
    gap.cut()
    gap.heal()


async def test_a_publisher_publishes_again_over_a_new_link(
    settings: Settings, gap: Gap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "CONFIRM_SECONDS", 0.5)
    async with publisher.open_publisher(settings, seconds=SECONDS) as sender:
        await sender.send(REFILL, ARGS, queue=Queue.INVALIDATION)
        lose_confirms(gap)

        assert await sender.send(REFILL, ARGS, queue=Queue.INVALIDATION)


@pytest.mark.parametrize("delay_seconds", [0.0, 1.0])
async def test_a_task_publishes_what_follows_again_over_a_new_link(
    settings: Settings, gap: Gap, monkeypatch: pytest.MonkeyPatch, delay_seconds: float
) -> None:
    monkeypatch.setattr(later, "CONFIRM_SECONDS", 0.5)
    app = Celery("lost-confirms", set_as_current=False)
    app.config_from_object(celery_configuration(settings))
    monkeypatch.setattr(later, "app", app)
    follow = Follow(REFILL, ARGS, Queue.INVALIDATION, delay_seconds=delay_seconds)
    await asyncio.to_thread(later.publish, [follow])
    lose_confirms(gap)

    async with asyncio.timeout(SECONDS):
        await asyncio.to_thread(later.publish, [follow])
    app.close()


async def test_what_may_wait_is_declared_before_anything_waits(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Celery("declares", set_as_current=False)
    app.config_from_object(celery_configuration(settings))
    monkeypatch.setattr(later, "app", app)
    await asyncio.to_thread(later.declare_waiting_queues)

    def delayed() -> list[int]:
        with app.connection_for_write() as connection:
            channel: Any = connection.default_channel  # what it can do is the transport's
            names = [queue.name for lane in Queue for queue in later.waiting_queues(lane)]
            return [channel.queue_declare(name, passive=True).message_count for name in names]

    assert await asyncio.to_thread(delayed) == [0] * 3 * len(later.DELAY_STEPS_SECONDS)
    app.close()


async def test_the_client_sends_again_over_a_new_link(
    settings: Settings, gap: Gap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_CONFIRM_SECONDS", 0.5)
    app = Celery("lost-confirms", broker=settings.celery_broker_url, set_as_current=False)
    app.conf.broker_transport_options = {"confirm_publish": True}
    sender = TaskSender(app, seconds=SECONDS)
    await sender.invalidate(["0x" + "1" * 64])
    lose_confirms(gap)

    assert await sender.invalidate(["0x" + "1" * 64])
    sender.close()
    app.close()
