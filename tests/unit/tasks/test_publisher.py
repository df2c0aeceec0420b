"""Publishing is bounded, whatever the broker does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from config.settings import Settings
from domain.errors import PublishingError
from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer
from tasks.names import WARM_USER, Queue
from tasks.publisher import CeleryPublisher, open_publisher


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


def publisher_to(broker_url: str, *, seconds: float = 0.1) -> CeleryPublisher:
    return open_publisher(Settings(celery_broker_url=broker_url), seconds=seconds)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
async def test_a_broker_that_is_gone_is_an_error_and_not_a_wait(scheme: str) -> None:
    publisher = publisher_to(f"{scheme}://127.0.0.1:{free_port()}//".removesuffix("/"))
    async with asyncio.timeout(5):
        with pytest.raises(PublishingError, match=WARM_USER):
            await publisher.send(WARM_USER, ["x"], queue=Queue.WARMUP)
    await publisher.close()


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
async def test_a_broker_that_says_nothing_is_not_waited_for(scheme: str, silent_port: int) -> None:
    publisher = publisher_to(f"{scheme}://127.0.0.1:{silent_port}/")
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(
            *(publisher.send(WARM_USER, ["x"], queue=Queue.WARMUP) for _ in range(50)),
            return_exceptions=True,
        )
    await publisher.close()

    assert {type(outcome) for outcome in outcomes} == {PublishingError}


async def test_a_task_that_was_taken_has_an_id(broker_server: EmbeddedServer) -> None:
    async with publisher_to(broker_server.url(3), seconds=5) as publisher:
        first = await publisher.send(WARM_USER, ["x"], queue=Queue.WARMUP, expires=1)
        second = await publisher.send(WARM_USER, ["x"], queue=Queue.WARMUP, expires=1)

    assert first
    assert first != second


async def test_more_publishes_at_once_than_there_are_threads_wait_for_one(
    broker_server: EmbeddedServer,
) -> None:
    async with publisher_to(broker_server.url(3), seconds=5) as publisher:
        ids = await asyncio.gather(
            *(publisher.send(WARM_USER, ["x"], queue=Queue.WARMUP, expires=1) for _ in range(50))
        )

    assert len(set(ids)) == 50


async def test_a_queue_that_nobody_works_on_is_refused(broker_server: EmbeddedServer) -> None:
    async with publisher_to(broker_server.url(3), seconds=5) as publisher:
        with pytest.raises(PublishingError, match="warm-up"):
            await publisher.send(WARM_USER, ["x"], queue="warm-up")
