"""The Python client's way to the broker is bounded, whatever the broker does."""

from __future__ import annotations

import asyncio

import pytest
from balance_cache_client import NotEnqueuedError
from balance_cache_client.tasks import TaskSender
from celery import Celery

from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
async def test_a_broker_that_is_gone_is_an_error_and_not_a_wait(scheme: str) -> None:
    app = Celery(broker=f"{scheme}://127.0.0.1:{free_port()}/", set_as_current=False)
    sender = TaskSender(app)
    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(
            *(sender.warm_user("u", 0) for _ in range(20)),
            sender.invalidate(["0x01"], 0, 5),
            return_exceptions=True,
        )
    sender.close()
    app.close()

    assert {type(outcome) for outcome in outcomes} == {NotEnqueuedError}


async def test_more_tasks_at_once_than_there_are_threads_wait_for_one(
    broker_server: EmbeddedServer,
) -> None:
    app = Celery(broker=broker_server.url(3), set_as_current=False)
    sender = TaskSender(app, seconds=5)
    ids = await asyncio.gather(*(sender.warm_user("u", 0) for _ in range(20)))
    sender.close()
    app.close()

    assert len(set(ids)) == 20
