"""The follower as a task on real workers: who follows, who takes over, what readers see."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest

from devnet.options import BASE_ASSET_ID
from domain.values import Address, Fresh, Stale
from runtime.assembly import Runtime
from tasks.names import FOLLOW, Queue
from tasks.publisher import CeleryPublisher
from tests.broker_support import Server
from tests.worker_support import SECONDS, Site, eventually, working_site

CHAIN_ID = 0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, task_broker: Server) -> Iterator[Site]:
    with working_site(tmp_path_factory.mktemp("follower"), task_broker.url) as site:
        site.nodes[CHAIN_ID].chain.produce_blocks(3)
        yield site


@pytest.fixture
async def runtime(site: Site) -> AsyncIterator[Runtime]:
    runtime = await Runtime.open(site.settings)
    yield runtime
    await runtime.close()


async def followed(runtime: Runtime, publisher: CeleryPublisher) -> None:
    """Ask for a follower, as beat does, until there is one that stands at the tip."""

    async def stands() -> bool:
        await publisher.send(FOLLOW, [CHAIN_ID], queue=Queue.INVALIDATION, expires=2)
        status = await runtime.followed(CHAIN_ID).cursors.status(CHAIN_ID)
        cursor = status.state.cursor
        return status.active and cursor is not None and cursor.height == status.tip

    await eventually(stands, "somebody follows the chain")


async def right(runtime: Runtime, vault: Address, amount: int, *, seconds: float = SECONDS) -> None:
    """Wait until the cache holds the amount, fresh, without any reader asking the node."""

    async def told() -> bool:
        answer = (await runtime.cache.read(CHAIN_ID, [vault]))[vault]
        if not isinstance(answer, Fresh):
            return False
        return [balance.amount for balance in answer.stored.snapshot.balances] == [amount]

    await eventually(told, f"{amount} fresh in the cache", seconds=seconds)


async def test_an_unannounced_deposit_is_in_the_cache_without_anybody_asking(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    vault = site.user.addresses[0]
    await runtime.reader(CHAIN_ID).read_many([vault])
    await followed(runtime, publisher)
    site.nodes[CHAIN_ID].chain.transfer(None, vault, BASE_ASSET_ID, 5)

    await right(runtime, vault, 5)


async def test_a_follower_whose_process_is_killed_is_replaced_and_no_block_is_missed(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    vault = site.user.addresses[1]
    await runtime.reader(CHAIN_ID).read_many([vault])
    await followed(runtime, publisher)
    assert site.worker is not None
    before = len(site.logged("follow.began"))
    for child in psutil.Process(site.worker.pid).children():
        os.kill(child.pid, signal.SIGKILL)
    site.nodes[CHAIN_ID].chain.transfer(None, vault, BASE_ASSET_ID, 6)

    async def followed_anew() -> bool:
        # As beat does; the lease of the dead one has to come to its end first.
        await publisher.send(FOLLOW, [CHAIN_ID], queue=Queue.INVALIDATION, expires=2)
        return len(site.logged("follow.began")) > before

    await eventually(followed_anew, "another one follows")
    await right(runtime, vault, 6)


async def test_a_follower_does_not_hold_a_place_among_the_tasks(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    await followed(runtime, publisher)
    before = len(site.logged("follow.began"))
    for _ in range(20):
        await publisher.send(FOLLOW, [CHAIN_ID], queue=Queue.INVALIDATION)
    await publisher.send(FOLLOW, [77], queue=Queue.INVALIDATION)

    async def all_done() -> bool:
        return bool(site.logged("task.refused"))

    await eventually(all_done, "the last of them was worked on")
    assert len(site.logged("follow.began")) == before


async def test_deposits_that_are_found_without_a_broker_are_fetched_when_it_is_back(
    site: Site, runtime: Runtime, publisher: CeleryPublisher, task_broker: Server
) -> None:
    vaults = site.user.addresses[2:4]
    await runtime.reader(CHAIN_ID).read_many(vaults)
    await followed(runtime, publisher)
    with task_broker.away():
        for vault in vaults:
            site.nodes[CHAIN_ID].chain.transfer(None, vault, BASE_ASSET_ID, 7)

            async def found(vault: Address = vault) -> bool:
                answer = (await runtime.cache.read(CHAIN_ID, [vault]))[vault]
                return isinstance(answer, Stale)

            await eventually(found, "declared wrong")

        async def both_are_owed() -> bool:
            status = await runtime.followed(CHAIN_ID).cursors.status(CHAIN_ID)
            return set(status.state.owed) == set(vaults)

        await eventually(both_are_owed, "the broker took no refill, and none is forgotten")

    for vault in vaults:
        await right(runtime, vault, 7, seconds=60)  # the worker must find its broker first
