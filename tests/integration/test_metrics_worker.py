"""What a real worker with pool processes tells Prometheus."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import psutil
import pytest

from devnet.faults import Fault, FaultKind
from supervisor.valkey import EmbeddedServer
from supervisor.waiting import wait_until
from tasks.names import INVALIDATE, REFRESH_DUE, WARM_USER, Queue
from tasks.publisher import CeleryPublisher
from tests.metrics_support import Scrape, scrape
from tests.process_support import clean_environment
from tests.worker_support import SECONDS, Site, eventually, working_site

TOKEN = "metrics-token-of-the-tests"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, broker_server: EmbeddedServer) -> Iterator[Site]:
    with working_site(
        tmp_path_factory.mktemp("metrics"),
        broker_server.url(),
        METRICS_PORT="0",
        METRICS_TOKEN=TOKEN,
    ) as site:
        yield site


def _url(site: Site) -> str:
    wait_until(lambda: bool(site.logged("metrics.served")), seconds=SECONDS)
    served = site.logged("metrics.served")[-1]
    return f"http://{served['host']}:{served['port']}/metrics"


def _scrape(site: Site) -> Scrape:
    return scrape(_url(site))


async def test_what_pool_processes_do_is_added_up(site: Site, publisher: CeleryPublisher) -> None:
    await publisher.send(WARM_USER, [site.user.user_id, 9889], queue=Queue.WARMUP)

    async def all_warm() -> bool:
        return _scrape(site).value("warmup_predicates_total", outcome="refilled") == 10

    await eventually(all_warm, "ten predicates were counted")
    told = _scrape(site)
    assert told.value("warmups_total") == 1
    assert told.value("publishes_total", chain_id=9889, outcome="published") == 10
    # The six newest vaults at once, the others through the lower lane.
    assert told.value("node_requests_total", lane="warmup", outcome="answered") == 1
    assert told.value("node_requests_total", lane="refresh", outcome="answered") == 1
    assert told.value("budget_wait_seconds_count", lane="warmup") == 1
    assert told.value("warmup_seconds_count", chain_id=9889) == 2
    assert told.value("tasks_total", task=WARM_USER, state="received") == 1
    assert told.value("tasks_total", task=WARM_USER, state="succeeded") == 1
    assert told.value("task_seconds_count", task=WARM_USER) == 1
    assert told.value("queue_wait_seconds_count", lane="warmup") >= 1


async def test_a_killed_pool_process_takes_no_count_with_it(
    site: Site, publisher: CeleryPublisher
) -> None:
    await publisher.send(INVALIDATE, [list(site.user.addresses), 9889], queue=Queue.INVALIDATION)

    async def counted() -> bool:
        return _scrape(site).value("tasks_total", state="succeeded") >= 3

    await eventually(counted, "the invalidation was counted")
    before = _scrape(site)
    assert site.worker is not None
    children = psutil.Process(site.worker.pid).children()
    for child in children:
        os.kill(child.pid, signal.SIGKILL)
    assert wait_until(lambda: not any(child.is_running() for child in children), seconds=SECONDS)
    after = _scrape(site)

    assert before.value("invalidations_total", chain_id=9889) == 10
    assert after.value("invalidations_total", chain_id=9889) == 10
    assert after.value("tasks_total", state="succeeded") >= before.value(
        "tasks_total", state="succeeded"
    )


async def test_a_failing_node_and_its_breaker_are_seen(
    site: Site, publisher: CeleryPublisher
) -> None:
    node = site.nodes[0]
    node.devnet.faults.add(Fault(FaultKind.SERVER_ERROR))
    try:
        await publisher.send(INVALIDATE, [list(site.user.addresses), 0], queue=Queue.INVALIDATION)

        async def open_breaker() -> bool:
            return _scrape(site).value("node_breaker_open", chain_id=0) == 1

        await eventually(open_breaker, "the breaker is open")
        told = _scrape(site)
        assert told.value("node_requests_total", chain_id=0, outcome="overloaded") >= 5
        assert told.value("tasks_total", state="retried") >= 1
        # The retry waits in the worker's hands.
        assert told.value("lane_unacked", lane="invalidation") >= 1
    finally:
        node.devnet.faults.clear()

    async def closed() -> bool:
        return _scrape(site).value("node_breaker_open", chain_id=0) == 0

    await eventually(closed, "the breaker is closed")


async def test_what_is_shared_is_told_by_the_worker_too(
    site: Site, publisher: CeleryPublisher
) -> None:
    await publisher.send(REFRESH_DUE, [9889], queue=Queue.REFRESH)

    async def beat_heard() -> bool:
        return _scrape(site).value("beat_silent_seconds") < 60

    await eventually(beat_heard, "a sign of beat")
    told = _scrape(site)
    assert told.value("cache_up") == told.value("broker_up") == 1
    assert told.value("redis_memory_used_bytes", server="cache") > 0
    assert told.value("redis_memory_used_bytes", server="broker") > 0
    assert told.has("lane_ready", lane="invalidation")
    assert told.has("hot_predicates", chain_id=0)


def test_metrics_are_for_those_who_may_read_them(site: Site) -> None:
    url = _url(site)

    assert httpx.get(url, headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 403
    assert (
        httpx.get(
            url, headers={"X-Forwarded-For": "127.0.0.1", "Authorization": "Bearer wrong"}
        ).status_code
        == 403
    )
    assert (
        httpx.get(
            url, headers={"X-Forwarded-For": "127.0.0.1", "Authorization": f"Bearer {TOKEN}"}
        ).status_code
        == 200
    )
    assert httpx.get(url.replace("/metrics", "/other")).status_code == 404


def test_no_address_is_a_label(site: Site) -> None:
    text = _scrape(site).text

    assert not re.search(r"0x[0-9a-f]{40,}", text)
    assert site.user.user_id not in text


def test_a_port_that_is_taken_is_told_in_one_line(site: Site) -> None:
    port = _url(site).rpartition(":")[2].partition("/")[0]
    environment = clean_environment({**site.environment, "METRICS_PORT": port})
    ended = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency", "1"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert "METRICS_PORT: cannot listen on 127.0.0.1" in ended.stderr
    assert "Traceback" not in ended.stderr
