"""The lanes with their workers, on either broker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.operate.lanes import look
from cli.operate.task_checks import check_broker
from config.settings import Settings
from domain.errors import BrokerUnavailableError
from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer
from tasks.names import WARM_USER, Queue
from tasks.publisher import open_publisher
from tests.rabbitmq_support import virtual_host

LANES = ["invalidation", "warmup", "refresh"]


@pytest.fixture(params=["redis", "rabbitmq"])
def settings(request: pytest.FixtureRequest, broker_server: EmbeddedServer) -> Iterator[Settings]:
    if request.param == "redis":
        yield Settings(celery_broker_url=broker_server.url(6))
        return
    with virtual_host() as url:
        yield Settings(celery_broker_url=url)


async def test_messages_and_the_lack_of_workers_are_told(settings: Settings) -> None:
    async with open_publisher(settings, seconds=10.0) as publisher:
        await publisher.send(WARM_USER, ["somebody"], queue=Queue.WARMUP, expires=120)

    force, lanes = look(settings)
    findings = await check_broker(settings)

    assert force.kind == ("rabbitmq" if settings.celery_broker_url.startswith("amqp") else "redis")
    assert [lane.state.lane for lane in lanes] == LANES
    assert [lane.state.ready for lane in lanes] == [0, 1, 0]
    assert all(not lane.workers for lane in lanes)
    nobody = [f.name for f in findings if "no worker takes from it" in f.told]
    assert nobody == [f"lane {name}" for name in LANES]


async def test_a_broker_that_is_away_is_one_finding() -> None:
    settings = Settings(celery_broker_url=f"redis://127.0.0.1:{free_port()}/0")

    with pytest.raises(BrokerUnavailableError):
        look(settings)
    [finding] = await check_broker(settings)
    assert (finding.name, finding.status.value) == ("broker", "wrong")
