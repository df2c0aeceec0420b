"""Tasks that a Node program enqueues without any Python: on Redis and on RabbitMQ."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.assembly import Runtime
from supervisor.valkey import BROKER_POLICY, EmbeddedServer
from tests import node_support
from tests.rabbitmq_support import virtual_host
from tests.worker_support import CHAIN_IDS, Site, eventually, fresh, working_site

FOLDER = Path(__file__).parents[1] / "celery_node"


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def enqueue_site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Site]]:
    """A worker on each broker, and the script that enqueues there."""
    node_support.install(FOLDER)
    directory = tmp_path_factory.mktemp(request.param)
    script = f"{request.param}.mjs"
    if request.param == "rabbitmq":
        with virtual_host() as url, working_site(directory, url) as site:
            yield script, site
        return
    broker = EmbeddedServer.start(policy=BROKER_POLICY)
    try:
        with working_site(directory, broker.url()) as site:
            yield script, site
    finally:
        broker.stop()


async def _enqueue(script: str, site: Site, queue: str, task: str, args: list[object]) -> None:
    broker = site.environment["CELERY_BROKER_URL"]
    await asyncio.to_thread(node_support.run, FOLDER, script, broker, queue, task, json.dumps(args))


@pytest.mark.timeout(420)
async def test_a_node_program_warms_a_user_and_invalidates_a_vault(
    enqueue_site: tuple[str, Site],
) -> None:
    script, site = enqueue_site
    runtime = await Runtime.open(site.settings)
    address = site.user.addresses[0]

    await _enqueue(script, site, "warmup", "balances.warm_user", [site.user.user_id])

    async def all_warm() -> bool:
        return all([len(await fresh(runtime, c, site.user.addresses)) == 10 for c in CHAIN_IDS])

    await eventually(all_warm, "all vaults warm")
    height = site.nodes[0].chain.produce_blocks(1)
    await _enqueue(
        script, site, "invalidation", "balances.invalidate", [[address], 0, height, "0x01"]
    )

    async def refilled() -> bool:
        answer = (await runtime.cache.read(0, [address]))[address]
        stored = getattr(answer, "stored", None)
        return stored is not None and stored.snapshot.height >= height

    await eventually(refilled, "the vault at the transaction's height")
    assert site.logged("task.refused") == []
    await runtime.close()
