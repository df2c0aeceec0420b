"""A real worker that is stuck ends itself; a busy one does not. Answers nobody reads go away."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from redis import Redis

from devnet.faults import Fault, FaultKind
from supervisor.processes import spawn, stop
from supervisor.valkey import BROKER_POLICY, EmbeddedServer
from supervisor.waiting import wait_until
from tasks.names import FORGET_REPLIES, INVALIDATE, Queue
from tasks.publisher import CeleryPublisher
from tasks.watchdog import EXIT_CODE
from tests.process_support import clean_environment
from tests.worker_support import Site, eventually, working_site

WATCHDOG_SECONDS = "2"


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedServer]:
    server = EmbeddedServer.start(policy=BROKER_POLICY)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, broker: EmbeddedServer) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("watchdog")
    with working_site(directory, broker.url(), WATCHDOG_SECONDS=WATCHDOG_SECONDS) as site:
        yield site


async def test_a_worker_that_is_busy_for_longer_is_left_alone(
    site: Site, publisher: CeleryPublisher
) -> None:
    faults = site.nodes[0].devnet.faults
    faults.add(Fault(FaultKind.SLOW, count=4, parameters={"milliseconds": 5_000}))
    for address in site.user.addresses:  # two processes work, the others wait in the lane
        await publisher.send(INVALIDATE, [[address], 0], queue=Queue.INVALIDATION)

    async def all_done() -> bool:
        with Redis.from_url(site.settings.celery_broker_url) as client:
            left = client.llen("invalidation") or client.hlen("unacked")
        return not left and len(site.logged("invalidation.refilled")) > 0

    await eventually(all_done, "the lane is empty")
    faults.clear()
    assert site.worker is not None
    assert site.worker.poll() is None
    assert not site.logged("worker.stuck")


def _ask_and_die(site: Site) -> None:
    """Ask the workers something and be killed before the answers are read."""
    program = (
        "import os; from tasks import app;"
        "mailbox = app.control.mailbox(app.connection_for_write());"
        "mailbox._publish('ping', {}, reply_ticket='abc'); os._exit(0)"
    )
    environment = clean_environment(site.environment)
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)


def _ping(site: Site) -> None:
    pinged = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tasks", "inspect", "ping", "--timeout", "10"],
        env=clean_environment(site.environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert pinged.returncode == 0, pinged.stdout + pinged.stderr


async def test_answers_whose_asker_was_killed_do_not_pile_up(
    site: Site, publisher: CeleryPublisher
) -> None:
    with Redis.from_url(site.settings.celery_broker_url) as client:

        def lists() -> list[bytes]:
            return list(client.scan_iter(match="*.reply.celery.pidbox", _type="list"))

        def bindings() -> int:
            return int(client.scard("_kombu.binding.reply.celery.pidbox"))

        for _ in range(2):
            _ask_and_die(site)
        assert wait_until(lambda: len(lists()) == 2, seconds=20)
        assert {client.ttl(name) for name in lists()} == {-1}  # for ever, if nobody sweeps
        before = bindings()

        await publisher.send(FORGET_REPLIES, [], queue=Queue.REFRESH)
        assert wait_until(lambda: all(client.ttl(n) > 0 for n in lists()), seconds=20)
        assert len(lists()) == 2  # an asker that lives has the time to read them
        await publisher.send(FORGET_REPLIES, [], queue=Queue.REFRESH)
        assert wait_until(lambda: not lists(), seconds=20)
        assert wait_until(lambda: bindings() == before - 2, seconds=20)


async def test_a_worker_that_is_alive_and_takes_nothing_is_started_again(
    site: Site, publisher: CeleryPublisher
) -> None:
    assert site.worker is not None
    stop(site.worker)
    with site.log_path.open("ab") as log:
        stuck = spawn(
            [sys.executable, "-m", "celery", "-A", "tests.stuck_worker", "worker", "-c", "1"],
            environment=site.environment,
            output=log,
            death_signal=signal.SIGKILL,
        )
    ready = site.log().count("worker.ready") + 1
    assert wait_until(lambda: site.log().count("worker.ready") >= ready, seconds=30)
    _ping(site)  # every liveness check passes
    done = len(site.logged("invalidation.done"))
    for address in site.user.addresses[:3]:
        await publisher.send(INVALIDATE, [[address], 0], queue=Queue.INVALIDATION)

    assert stuck.wait(timeout=60) == EXIT_CODE
    assert site.logged("worker.stuck")[-1]["waiting"] == 3
    assert len(site.logged("invalidation.done")) == done

    site.start_worker()  # what a supervisor does

    async def worked_on() -> bool:
        return len(site.logged("invalidation.done")) == done + 3

    await eventually(worked_on, "the three were worked on")
