"""Tasks on RabbitMQ: a killed worker's message is delivered again at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devnet.faults import Fault, FaultKind
from runtime.assembly import Runtime
from tasks.names import INVALIDATE, WARM_USER, Queue
from tasks.publisher import open_publisher
from tests.rabbitmq_support import virtual_host
from tests.worker_support import CHAIN_IDS, Site, eventually, fresh, working_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with (
        virtual_host() as broker_url,
        working_site(tmp_path_factory.mktemp("rabbitmq"), broker_url) as site,
    ):
        yield site


async def test_a_login_warms_every_vault_through_rabbitmq(site: Site) -> None:
    runtime = await Runtime.open(site.settings)
    async with open_publisher(site.settings, seconds=5.0) as publisher:
        await publisher.send(WARM_USER, [site.user.user_id], queue=Queue.WARMUP, expires=60)

    async def all_warm() -> bool:
        return all([len(await fresh(runtime, c, site.user.addresses)) == 10 for c in CHAIN_IDS])

    await eventually(all_warm, "all vaults warm")
    await runtime.close()


async def test_an_invalidation_survives_the_kill_of_its_whole_worker(site: Site) -> None:
    runtime = await Runtime.open(site.settings)
    (address,) = site.user.addresses[:1]
    await runtime.reader(0).read_many([address])
    slow = site.nodes[0].devnet.faults.add(
        Fault(FaultKind.SLOW, count=1, parameters={"milliseconds": 60_000})
    )
    height = site.nodes[0].chain.produce_blocks(1)
    async with open_publisher(site.settings, seconds=5.0) as publisher:
        await publisher.send(INVALIDATE, [[address], 0, height], queue=Queue.INVALIDATION)

    async def is_being_fetched() -> bool:
        return slow.spent

    await eventually(is_being_fetched, "the worker fetches")
    assert site.worker is not None
    site.worker.kill()
    site.worker.wait()
    site.start_worker()

    async def refilled() -> bool:
        return await fresh(runtime, 0, (address,)) == {address}

    await eventually(refilled, "the next worker has done it")
    await runtime.close()


async def test_a_refill_that_failed_comes_back_through_the_broker_and_blocks_nobody(
    site: Site,
) -> None:
    runtime = await Runtime.open(site.settings)
    (address,) = site.user.addresses[1:2]
    await runtime.reader(0).read_many([address])
    faults = site.nodes[0].devnet.faults
    faults.add(Fault(FaultKind.SERVER_ERROR))
    height = site.nodes[0].chain.produce_blocks(1)
    async with open_publisher(site.settings, seconds=5.0) as publisher:
        await publisher.send(INVALIDATE, [[address], 0, height], queue=Queue.INVALIDATION)

    async def tried_again() -> bool:
        return len(site.logged("task.tried_again_later")) >= 2

    await eventually(tried_again, "the refill came back and failed again")
    faults.clear()

    async def refilled() -> bool:
        return await fresh(runtime, 0, (address,)) == {address}

    await eventually(refilled, "the vault is fresh once the node is back")
    await runtime.close()
