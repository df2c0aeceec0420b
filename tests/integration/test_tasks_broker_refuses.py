"""What a broker refuses to take is tried again: it is no bug of the task that publishes it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from balance_cache_client.errors import NotEnqueuedError
from balance_cache_client.tasks import TaskSender
from celery import Celery
from celery.exceptions import Reject
from kombu import Queue as BrokerQueue

from config.settings import Settings, current_settings
from domain.errors import PublishingError
from domain.networks import Network
from runtime.assembly import Runtime
from supervisor.valkey import EmbeddedServer
from tasks import invalidation, later
from tasks.loop import process_loop
from tasks.names import INVALIDATE, Queue
from tasks.publisher import open_publisher
from tasks.settings import celery_configuration
from tests.rabbitmq_support import PrivateRabbit

NETWORK = Network(0, "testnet", ("http://127.0.0.1:1/v1/graphql",))
VAULT = "0x" + "1" * 64
SECONDS = 10.0


@pytest.fixture
def settings(cache_server: EmbeddedServer, rabbit_server: PrivateRabbit) -> Settings:
    return Settings.model_validate(
        {
            "REDIS_URL": cache_server.url(8),
            "celery_broker_url": rabbit_server.host().url,
            "database_url": "sqlite:///:memory:",
            "fuel_networks": (NETWORK,),
        }
    )


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    runtime = await Runtime.open(settings)
    yield runtime
    await runtime.close()


@pytest.fixture
def worker_process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """This process works on tasks, with these settings."""
    process_loop.close()
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    network = {"chainId": 0, "name": "testnet", "urls": list(NETWORK.urls)}
    monkeypatch.setenv("FUEL_NETWORKS", json.dumps([network]))
    current_settings.cache_clear()
    app = Celery("refuses", set_as_current=False)
    app.config_from_object(celery_configuration(settings))
    monkeypatch.setattr(later, "app", app)
    yield app
    process_loop.close()
    app.close()
    current_settings.cache_clear()


@pytest.fixture
async def refused(worker_process: Celery) -> None:
    """RabbitMQ refuses a lane that an older version declared, and closes the channel for it."""

    def declare_as_before() -> None:
        with worker_process.connection_for_write() as connection:
            BrokerQueue(Queue.INVALIDATION.value)(connection.default_channel).declare()

    await asyncio.to_thread(declare_as_before)


async def test_an_invalidation_whose_refill_is_refused_goes_back_and_is_no_dead_letter(
    runtime: Runtime, refused: None
) -> None:
    with pytest.raises(Reject) as rejected:
        await asyncio.to_thread(invalidation.invalidate, [VAULT], 0, 5)

    assert rejected.value.requeue  # type: ignore[attr-defined]  # its types do not tell of it
    assert await runtime.dead_letters.listed() == []


async def test_a_publisher_is_told_that_it_was_refused(settings: Settings, refused: None) -> None:
    async with open_publisher(settings, seconds=SECONDS) as publisher:
        with pytest.raises(PublishingError):
            await publisher.send(INVALIDATE, [[VAULT], 0, 5], queue=Queue.INVALIDATION)


async def test_the_client_is_told_that_it_was_refused(settings: Settings, refused: None) -> None:
    app = Celery("refused", broker=settings.celery_broker_url, set_as_current=False)
    sender = TaskSender(app, seconds=SECONDS)
    with pytest.raises(NotEnqueuedError):
        await sender.invalidate([VAULT])
    sender.close()
    app.close()
