"""Tasks on a real Celery worker with pool processes, against a simulated node; on each broker."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import psutil
import pytest
from redis.asyncio import Redis

from cache.warm_ups import Shelf, WarmUpProgress
from devnet.chain import AccountBalance, Payment
from devnet.faults import Fault, FaultKind
from devnet.options import BASE_ASSET_ID
from devnet.server import DevnetServer
from domain.errors import CacheUnavailableError, PublishingError
from domain.values import Address, Fresh, Lane, Stale
from runtime.assembly import Runtime
from tasks.names import (
    INVALIDATE,
    REFILL,
    REFRESH_DUE,
    WARM_PREDICATES,
    WARM_USER,
    WARM_USERS,
    Queue,
)
from tasks.publisher import CeleryPublisher, open_publisher
from tests.broker_support import Server
from tests.cache_support import hung
from tests.worker_support import (
    CHAIN_IDS,
    Site,
    eventually,
    eventually_with_beat,
    fresh,
    working_site,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, task_broker: Server) -> Iterator[Site]:
    # On Redis a killed worker's message is delivered again after this.
    times = {"BROKER_VISIBILITY_SECONDS": "8", "LEASE_SECONDS": "3"}
    with working_site(tmp_path_factory.mktemp("worker"), task_broker.url, **times) as site:
        yield site


@pytest.fixture
async def runtime(site: Site) -> AsyncIterator[Runtime]:
    runtime = await Runtime.open(site.settings)
    await runtime.cache.clear(site.user.addresses)
    yield runtime
    await runtime.close()


async def test_a_login_warms_every_vault_on_every_network(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    await publisher.send(WARM_USER, [site.user.user_id], queue=Queue.WARMUP, expires=60)

    async def all_warm() -> bool:
        return all([len(await fresh(runtime, c, site.user.addresses)) == 10 for c in CHAIN_IDS])

    await eventually(all_warm, "all vaults warm")


async def test_logins_that_share_a_message_are_each_remembered_and_an_unknown_one_harms_nobody(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    before = len(site.logged("warm_up.unknown_user"))
    await publisher.send(
        WARM_USERS, [["nobody", site.user.user_id], 9889], queue=Queue.WARMUP, expires=60
    )

    async def all_warm() -> bool:
        progress = await runtime.warm_ups.progress(site.user.user_id, 9889)
        is_done = progress == WarmUpProgress(total=10, done=10, failed=0)
        return is_done and len(await fresh(runtime, 9889, site.user.addresses)) == 10

    await eventually(all_warm, "all vaults warm")
    unknown = site.logged("warm_up.unknown_user")[before:]
    assert [line["user_id"] for line in unknown] == ["nobody"]
    assert await runtime.warm_ups.progress("nobody", 9889) is None


async def test_a_login_packs_vaults_into_node_requests_and_a_second_one_costs_none(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    before = site.requests(9889)
    await publisher.send(WARM_USER, [site.user.user_id, 9889], queue=Queue.WARMUP)

    async def all_warm() -> bool:
        return len(await fresh(runtime, 9889, site.user.addresses)) == 10

    await eventually(all_warm, "all vaults warm")
    after_first = site.requests(9889)
    planned = len(site.logged("warm_up.planned"))
    await publisher.send(WARM_USER, [site.user.user_id, 9889], queue=Queue.WARMUP)

    async def planned_again() -> bool:
        return len(site.logged("warm_up.planned")) > planned

    await eventually(planned_again, "the second login was worked on")
    # Two requests: the six newest vaults at once, the four others through the lower lane.
    assert after_first - before == 2
    assert site.logged("warm_up.planned")[-1]["subtasks"] == 0
    assert site.requests(9889) == after_first


async def test_whole_requests_are_fetched_while_their_messages_wait_in_the_lane(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    vaults = tuple(f"0x{number:064x}" for number in range(1, 451))
    before, behind = site.requests(9889), len(site.logged("warm_up.began_behind"))
    await publisher.send(WARM_PREDICATES, [list(vaults), 9889], queue=Queue.WARMUP)

    async def all_warm() -> bool:
        return len(await fresh(runtime, 9889, vaults)) == len(vaults)

    await eventually(all_warm, "all vaults warm")
    assert len(site.logged("warm_up.began_behind")) > behind
    assert site.requests(9889) - before == 3


async def test_a_confirmed_transaction_is_right_again_and_was_never_served_as_fresh(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    sender, receiver = site.user.addresses[:2]
    site.nodes[0].chain.set_balances([AccountBalance(sender, BASE_ASSET_ID, 1000)])
    await runtime.reader(0).read_many([sender, receiver])
    height = _pay(site.nodes[0], sender, receiver, 400)
    await publisher.send(
        INVALIDATE, [[sender, receiver], 0, height, "0x" + "1" * 64], queue=Queue.INVALIDATION
    )

    async def both_refilled() -> bool:
        answers = await runtime.cache.read(0, [sender, receiver])
        return all(
            isinstance(a, Fresh) and a.stored.snapshot.height >= height for a in answers.values()
        )

    await eventually(both_refilled, "both vaults refilled at the transaction's height")
    served = await runtime.reader(0).read_many([sender, receiver])
    amounts = [
        answer.stored.snapshot.balances[0].amount
        for answer in (served[sender].answer, served[receiver].answer)
        if isinstance(answer, Fresh)
    ]
    assert amounts == [600, 400]


def _pay(node: DevnetServer, sender: Address, receiver: Address, amount: int) -> int:
    transaction = node.chain.prepare(Payment(sender, receiver, BASE_ASSET_ID, amount))
    node.chain.submit(transaction)
    return node.chain.produce_blocks(1)


async def test_an_invalidation_is_done_at_once_while_the_node_is_down_and_refilled_afterwards(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    (address,) = site.user.addresses[2:3]
    await runtime.reader(0).read_many([address])
    faults = site.nodes[0].devnet.faults
    faults.add(Fault(FaultKind.SERVER_ERROR))
    height = site.nodes[0].chain.produce_blocks(1)
    tried = len(site.logged("task.tried_again_later"))
    try:
        await publisher.send(INVALIDATE, [[address], 0, height], queue=Queue.INVALIDATION)

        async def tried_again() -> bool:
            return len(site.logged("task.tried_again_later")) >= tried + 2

        await eventually(tried_again, "the refill came back through the broker and failed again")
        answer = (await runtime.cache.read(0, [address]))[address]
        assert isinstance(answer, Stale)
    finally:
        faults.clear()

    async def refilled() -> bool:
        return await fresh(runtime, 0, (address,)) == {address}

    await eventually(refilled, "the vault is fresh once the node is back")


async def test_a_warm_up_that_failed_is_tried_again_long_before_nobody_waits_for_it(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    vault = "0x" + "ab" * 32
    faults = site.nodes[0].devnet.faults
    faults.add(Fault(FaultKind.SERVER_ERROR))
    tried = len(site.logged("warm_up.fetched"))
    try:
        await publisher.send(WARM_PREDICATES, [[vault], 0], queue=Queue.WARMUP)

        async def failed() -> bool:
            return len(site.logged("warm_up.fetched")) > tried

        await eventually(failed, "the node was asked and failed")
    finally:
        faults.clear()

    async def warm() -> bool:
        return await fresh(runtime, 0, (vault,)) == {vault}

    await eventually(warm, "the vault is warm once the node is back")


async def test_what_is_tried_again_soon_does_not_wait_for_what_is_tried_again_late(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    late, soon = "0x" + "ac" * 32, "0x" + "ad" * 32
    await runtime.cache.invalidate([late, soon], 0)
    faults = site.nodes[0].devnet.faults
    faults.add(Fault(FaultKind.SERVER_ERROR))
    before = len(site.logged("task.tried_again_later"))

    def tries() -> list[object]:
        return [entry["attempt"] for entry in site.logged("task.tried_again_later")[before:]]

    async def tried_late() -> bool:
        return tries() == [11]

    async def tried_soon_twice() -> bool:
        return len(tries()) == 3

    try:
        # As one that has failed ten times: it waits for 7.5 s at least.
        await asyncio.to_thread(
            publisher._app.send_task, REFILL, [[late], 0], queue=Queue.INVALIDATION, retries=10
        )
        await eventually(tried_late, "one has been put off for long")
        await publisher.send(REFILL, [[soon], 0], queue=Queue.INVALIDATION)
        await eventually(tried_soon_twice, "the other was tried and tried again")
    finally:
        faults.clear()
    assert tries()[:3] == [11, 1, 2]


async def test_an_invalidation_is_tried_until_a_cache_that_hangs_takes_it(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    (address,) = site.user.addresses[4:5]
    await runtime.reader(0).read_many([address])
    height = site.nodes[0].chain.produce_blocks(1)
    tried = len(site.logged("task.tried_again_later"))

    with hung(site.cache):
        await publisher.send(INVALIDATE, [[address], 0, height], queue=Queue.INVALIDATION)

        async def tried_again() -> bool:
            return len(site.logged("task.tried_again_later")) >= tried + 2

        await eventually(tried_again, "the invalidation came back through the broker")

    async def is_right_again() -> bool:
        try:
            answer = (await runtime.cache.read(0, [address]))[address]
        except CacheUnavailableError:  # it rests
            return False
        return isinstance(answer, Fresh) and answer.stored.snapshot.height >= height

    await eventually(is_right_again, "invalidated and refilled without anybody's help")


async def test_an_invalidation_survives_the_death_of_the_process_that_works_on_it(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    (address,) = site.user.addresses[3:4]
    await runtime.reader(0).read_many([address])
    faults = site.nodes[0].devnet.faults
    slow = faults.add(Fault(FaultKind.SLOW, count=1, parameters={"milliseconds": 60_000}))
    height = site.nodes[0].chain.produce_blocks(1)
    await publisher.send(INVALIDATE, [[address], 0, height], queue=Queue.INVALIDATION)

    async def is_being_fetched() -> bool:
        return slow.spent

    await eventually(is_being_fetched, "a process fetches")
    assert site.worker is not None
    for child in psutil.Process(site.worker.pid).children():
        os.kill(child.pid, signal.SIGKILL)

    async def refilled() -> bool:
        return await fresh(runtime, 0, (address,)) == {address}

    await eventually(refilled, "another process has done it")


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        (INVALIDATE, [["0x12"], 0, 1], "0x12"),
        (INVALIDATE, [["0x" + "1" * 64], 77, 1], "chain id 77"),
        (INVALIDATE, [["0x" + "1" * 64], None, 5], "needs its chain_id"),
        (INVALIDATE, [["0x" + "1" * 64], 0, -1], "-1"),
        (INVALIDATE, ["0x" + "1" * 64, 0], "must be a list"),
        (INVALIDATE, [["0x" + "1" * 64], True], "must be a whole number"),
        (INVALIDATE, [], "addresses"),
        (WARM_PREDICATES, [["0x" + "1" * 64], 77], "chain id 77"),
        (WARM_PREDICATES, [["0x" + "1" * 64, "fuel1nonsense"], 0], "fuel1nonsense"),
        (WARM_USER, ["nobody"], "nobody"),
        (WARM_USER, [12], "user_id"),
        (WARM_USERS, [[]], "user_ids"),
        (WARM_USERS, [["nobody"], 77], "chain id 77"),
        (WARM_USERS, [["ada", 12]], "user_id"),
        (REFRESH_DUE, [77], "chain id 77"),
    ],
)
async def test_bad_arguments_are_refused_in_one_line_and_nothing_is_written(
    site: Site,
    runtime: Runtime,
    publisher: CeleryPublisher,
    *,
    name: str,
    arguments: list[object],
    reason: str,
) -> None:
    refused = len(site.logged("task.refused"))
    before = await runtime.cache.read(0, ["0x" + "1" * 64])
    await publisher.send(name, arguments, queue=Queue.REFRESH)

    async def was_refused() -> bool:
        return len(site.logged("task.refused")) > refused

    await eventually(was_refused, "refused")
    line = site.logged("task.refused")[-1]
    assert line["task"] == name
    assert reason in str(line["reason"])
    assert await runtime.cache.read(0, ["0x" + "1" * 64]) == before


async def test_a_hot_vault_is_refreshed_when_beat_asks_and_an_unread_one_is_not(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    hot, cold = site.user.addresses[4:6]
    await runtime.cache.mark_read(9889, [hot])
    await publisher.send(REFRESH_DUE, [], queue=Queue.REFRESH)

    async def refreshed() -> bool:
        return hot in await fresh(runtime, 9889, (hot, cold))

    await eventually(refreshed, "the hot vault is fresh")
    assert await fresh(runtime, 9889, (hot, cold)) == {hot}


async def test_a_message_for_a_task_that_does_not_exist_is_kept(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    await publisher.send("balances.nonsense", [1], queue=Queue.INVALIDATION)

    async def kept() -> bool:
        letters = await runtime.dead_letters.listed()
        return any(
            (letter.task, letter.args, letter.reason) == ("balances.nonsense", [1], "no such task")
            for letter in letters
        )

    await eventually(kept, "the unknown message is listed")


async def test_warm_ups_whose_message_was_lost_are_announced_again_by_beats_next_look(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    shelf = Shelf(0, later=False, request_size=runtime.vaults_per_request(0))
    tickets = await runtime.warm_ups.offer(shelf, "lost", site.user.addresses)
    assert tickets.count == 1  # and nobody publishes it
    async with Redis.from_url(site.settings.redis_url) as redis:
        await redis.delete(shelf.keys("lost").tickets)  # as when its life is over
    await publisher.send(REFRESH_DUE, [0], queue=Queue.REFRESH, expires=60)

    async def all_warm() -> bool:
        return len(await fresh(runtime, 0, site.user.addresses)) == 10

    await eventually(all_warm, "all vaults warm")


async def test_many_invalidations_of_one_vault_in_a_burst_cost_few_node_requests(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    (address,) = site.user.addresses[7:8]
    await runtime.reader(0).read_many([address])
    height = site.nodes[0].chain.produce_blocks(1)
    handed_over, before = len(site.logged("invalidation.done")), site.fetches(0)
    # All of them are in the lane before the first is worked on: that is what a burst is.
    assert site.worker is not None
    worker = psutil.Process(site.worker.pid)
    worker.suspend()
    for _ in range(30):
        await publisher.send(INVALIDATE, [[address], 0, height], queue=Queue.INVALIDATION)
    worker.resume()

    async def settled() -> bool:
        all_done = len(site.logged("invalidation.done")) >= handed_over + 30
        return all_done and await fresh(runtime, 0, (address,)) == {address}

    await eventually(settled, "the burst is over and the vault is fresh")
    assert site.fetches(0) - before <= 10


async def test_an_invalidation_survives_the_kill_of_its_whole_worker(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    (address,) = site.user.addresses[8:9]
    await runtime.reader(0).read_many([address])
    faults = site.nodes[0].devnet.faults
    slow = faults.add(Fault(FaultKind.SLOW, count=1, parameters={"milliseconds": 60_000}))
    height = site.nodes[0].chain.produce_blocks(1)
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


async def test_an_expired_login_is_dropped_and_not_run(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    """Its message is put in front of one that has not expired, so that it was met when that is."""
    planned = len(site.logged("warm_up.planned"))
    for expires in (0.001, 60):
        await publisher.send(WARM_USER, [site.user.user_id, 0], queue=Queue.WARMUP, expires=expires)

    async def all_warm() -> bool:
        return len(await fresh(runtime, 0, site.user.addresses)) == 10

    await eventually(all_warm, "the login that has not expired was run")
    assert len(site.logged("warm_up.planned")) == planned + 1


async def test_what_was_accepted_while_the_broker_is_restarted_is_done(
    site: Site, runtime: Runtime, task_broker: Server
) -> None:
    """Both consume again afterwards: the worker, and the publisher whose connections broke."""
    vaults = site.user.addresses
    await runtime.reader(0).refill(vaults, lane=Lane.READ)
    handed_over = len(site.logged("invalidation.done"))
    accepted = 0
    async with open_publisher(site.settings, seconds=3.0) as publisher:
        for number in range(40):
            if number == 20:
                # Here and not in a thread: a server ends with the thread that started it.
                task_broker.restart()
            height = site.nodes[0].chain.produce_blocks(1)
            arguments = [[vaults[number % 10]], 0, height]
            while True:
                with suppress(PublishingError):
                    await publisher.send(INVALIDATE, arguments, queue=Queue.INVALIDATION)
                    accepted += 1
                    break

    async def all_done() -> bool:
        done = len(site.logged("invalidation.done")) - handed_over
        return done >= accepted and len(await fresh(runtime, 0, vaults)) == 10

    await eventually_with_beat(site, all_done, "every accepted invalidation has happened")


async def test_a_worker_that_is_killed_takes_its_pool_with_it(site: Site) -> None:
    assert site.worker is not None
    children = psutil.Process(site.worker.pid).children(recursive=True)
    site.worker.kill()
    site.worker.wait()
    _, alive = psutil.wait_procs(children, timeout=10)

    assert children
    assert alive == []
