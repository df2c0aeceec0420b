"""A broker whose disk is full refuses; what it took before happens all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from domain.errors import PublishingError
from domain.values import Lane
from runtime.assembly import Runtime
from tasks.names import INVALIDATE, Queue
from tasks.publisher import CeleryPublisher, open_publisher
from tests.broker_support import Server
from tests.worker_support import (
    Site,
    eventually,
    eventually_with_beat,
    fresh,
    working_site,
)

MOST = 2_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, task_broker: Server) -> Iterator[Site]:
    times = {"BROKER_VISIBILITY_SECONDS": "8"}
    with working_site(tmp_path_factory.mktemp("disk"), task_broker.url, **times) as site:
        yield site


async def _until_refused(site: Site, publisher: CeleryPublisher) -> int:
    """Publish until the broker takes no more; return how many it has taken."""
    vaults = site.user.addresses
    for number in range(MOST):
        height = site.nodes[0].chain.produce_blocks(1)
        try:
            await publisher.send(
                INVALIDATE, [[vaults[number % 10]], 0, height], queue=Queue.INVALIDATION
            )
        except PublishingError:
            return number
    return pytest.fail("a full disk did not stop it")


async def test_a_full_disk_is_told_to_publishers_and_loses_nothing_that_was_accepted(
    site: Site, task_broker: Server
) -> None:
    runtime = await Runtime.open(site.settings)
    vaults = site.user.addresses
    await runtime.reader(0).refill(vaults, lane=Lane.READ)
    async with open_publisher(site.settings, seconds=3.0) as publisher:
        height = site.nodes[0].chain.produce_blocks(1)
        await publisher.send(INVALIDATE, [[vaults[0]], 0, height], queue=Queue.INVALIDATION)
        task_broker.fill_disk()
        accepted = 1 + await _until_refused(site, publisher)
    # Here and not in a thread: a server ends with the thread that started it.
    task_broker.free_disk()

    async def all_done() -> bool:
        done = len(site.logged("invalidation.done"))
        return done >= accepted and len(await fresh(runtime, 0, vaults)) == 10

    await eventually_with_beat(site, all_done, "every accepted invalidation has happened")
    height = site.nodes[0].chain.produce_blocks(1)
    done = len(site.logged("invalidation.done"))
    async with open_publisher(site.settings, seconds=5.0) as publisher:
        await publisher.send(INVALIDATE, [[vaults[0]], 0, height], queue=Queue.INVALIDATION)

    async def taken_again() -> bool:
        return len(site.logged("invalidation.done")) > done

    await eventually(taken_again, "the broker takes messages again, and somebody works on them")
    await runtime.close()
