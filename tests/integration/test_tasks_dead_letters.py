"""What nobody can work on is kept, listed and replayed."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from celery.exceptions import Reject
from structlog.testing import capture_logs

from cache.dead_letters import DeadLetter
from config.settings import Settings, current_settings
from domain.errors import InvalidValueError, RegistryUnavailableError
from domain.networks import Network
from runtime.assembly import Runtime
from supervisor.valkey import EmbeddedServer
from tasks import dead_letters, invalidation, operations
from tasks.dead_letters import MOST_DELIVERIES, PoisonError, counted, replay
from tasks.delivery import set_delivery
from tasks.loop import process_loop
from tasks.names import INVALIDATE, WARM_USER
from tasks.parts import Parts
from tasks.publisher import open_publisher

NETWORK = Network(0, "testnet", ("http://127.0.0.1:1/v1/graphql",))


@pytest.fixture
def settings(cache_server: EmbeddedServer, broker_server: EmbeddedServer) -> Settings:
    return Settings.model_validate(
        {
            "REDIS_URL": cache_server.url(7),
            "celery_broker_url": broker_server.url(7),
            "database_url": "sqlite:///:memory:",
            "fuel_networks": (NETWORK,),
        }
    )


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    runtime = await Runtime.open(settings)
    for letter in await runtime.dead_letters.listed():
        await runtime.dead_letters.remove(letter.entry_id)
    yield runtime
    await runtime.close()


@pytest.fixture
def worker_process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process works on tasks, with these settings."""
    process_loop.close()
    network = {"chainId": 0, "name": "testnet", "urls": list(NETWORK.urls)}
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("FUEL_NETWORKS", json.dumps([network]))
    current_settings.cache_clear()
    yield
    process_loop.close()
    current_settings.cache_clear()


async def test_an_invalidation_that_is_refused_is_kept_with_its_reason(
    runtime: Runtime, worker_process: None
) -> None:
    with pytest.raises(InvalidValueError):
        await asyncio.to_thread(invalidation.invalidate, ["0x12"], 0, 5)
    (letter,) = await runtime.dead_letters.listed()

    assert (letter.task, letter.args, letter.queue) == (
        INVALIDATE,
        [["0x12"], 0, 5],
        "invalidation",
    )
    assert "0x12" in letter.reason


async def test_the_log_of_a_dead_letter_tells_where_an_unexpected_error_came_from(
    runtime: Runtime, worker_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_here(addresses: object) -> None:
        raise AttributeError("a bug")

    monkeypatch.setattr(operations, "parse_addresses", broken_here)
    with capture_logs() as logs, pytest.raises(AttributeError, match="a bug"):
        await asyncio.to_thread(invalidation.invalidate, ["0x12"], 0, 5)

    (entry,) = [entry for entry in logs if entry["event"] == "task.dead_letter"]
    told = "".join(traceback.format_exception(entry["exc_info"]))
    assert "broken_here" in told


async def test_what_cannot_be_kept_for_any_reason_goes_back(
    runtime: Runtime, worker_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery drops the message of a task that ends with any other error than `Reject`."""

    async def without_parts(*_: object) -> None:
        raise RegistryUnavailableError("it cannot be opened now")

    monkeypatch.setattr(dead_letters, "keep", without_parts)
    with pytest.raises(Reject) as rejected:
        await asyncio.to_thread(invalidation.invalidate, ["0x12"], 0, 5)

    assert rejected.value.requeue  # type: ignore[attr-defined]  # its types do not tell of it


async def test_replaying_publishes_each_one_as_it_was_and_empties_the_list(
    runtime: Runtime, settings: Settings
) -> None:
    letter = DeadLetter(WARM_USER, ["ada"], {"chain_id": 0}, "warmup", "id", "a bug")
    await runtime.dead_letters.add(letter)
    async with open_publisher(settings, seconds=5.0) as publisher:
        replayed = await replay(runtime.dead_letters, publisher)

        def take() -> tuple[object, object]:
            with publisher._app.connection_for_read() as connection:
                message = connection.SimpleQueue("warmup").get(timeout=5)
                message.ack()
                return message.headers["task"], message.payload[:2]

        published = await asyncio.to_thread(take)

    assert replayed == 1
    assert published == (WARM_USER, [["ada"], {"chain_id": 0}])
    assert await runtime.dead_letters.listed() == []


async def test_a_message_whose_process_died_too_often_is_poison(runtime: Runtime) -> None:
    message_id = uuid4().hex
    set_delivery(message_id, 0)
    done: list[str] = []

    async def work(parts: Parts) -> None:
        done.append("worked")

    for _ in range(MOST_DELIVERIES - 1):  # deliveries without an end
        await runtime.dead_letters.delivered(message_id)
    await counted(work)(runtime)
    for _ in range(MOST_DELIVERIES):
        await runtime.dead_letters.delivered(message_id)
    with pytest.raises(PoisonError, match="never an end"):
        await counted(work)(runtime)

    assert done == ["worked"]
