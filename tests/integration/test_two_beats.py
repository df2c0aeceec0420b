"""Two real beats at once do no harm, and a beat that dies is noticed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from domain.values import Fresh
from runtime.assembly import Runtime
from supervisor.processes import spawn, stop
from tests.broker_support import Server
from tests.cache_support import address
from tests.worker_support import Site, eventually, working_site

CALLS_PER_SECOND = 2
VAULTS = tuple(address(n) for n in range(1, 61))
PER_REQUEST = 5
_BEAT = (sys.executable, "-m", "celery", "-A", "tasks", "beat")


@dataclass
class Beat:
    """A beat process and what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    def sent(self) -> int:
        return self.log.read_text().count("refresh-due-0")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, task_broker: Server) -> Iterator[Site]:
    with working_site(
        tmp_path_factory.mktemp("beats"),
        task_broker.url,
        FOLLOW_ENABLED="false",
        REFRESH_INTERVAL_SECONDS="0.5",
        REFRESH_AHEAD_SECONDS="1",
        REFRESH_CALLS_PER_MINUTE=str(60 * CALLS_PER_SECOND),
        REFRESH_BATCH=str(PER_REQUEST),
        BALANCE_CACHE_TTL="5",
        BEAT_SILENT_SECONDS="2",
    ) as site:
        yield site


@contextmanager
def beats(site: Site, count: int) -> Iterator[list[Beat]]:
    """Start beats, each with a memory of its own, as on two machines."""
    started = []
    try:
        for number in range(count):
            log = site.log_path.with_name(f"beat-{number}.log")
            schedule = site.log_path.with_name(f"beat-{number}-schedule")
            with log.open("wb") as output:
                process = spawn(
                    [*_BEAT, "--schedule", str(schedule)],
                    environment=site.environment,
                    output=output,
                )
            started.append(Beat(process, log))
        yield started
    finally:
        for beat in started:
            stop(beat.process)


@pytest.fixture
async def runtime(site: Site) -> AsyncIterator[Runtime]:
    runtime = await Runtime.open(site.settings)
    yield runtime
    await runtime.close()


def refreshes(site: Site) -> list[dict[str, object]]:
    """What the worker logged of refresh runs that fetched something, on chain 0."""
    return [entry for entry in site.logged("refresh.fetched") if entry["chain_id"] == 0]


async def warnings(runtime: Runtime) -> dict[str, str]:
    """What a load balancer or an operator is told."""
    app = create_app(runtime.settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        answer = await client.get("/ready")
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()["warnings"]
    return found


async def test_two_beats_spend_one_budget_and_refresh_nothing_twice(
    site: Site, runtime: Runtime
) -> None:
    """More is due than the budget carries, so that a budget spent twice would be seen."""
    await runtime.cache.mark_read(0, VAULTS)
    with beats(site, 2) as (one, other):

        async def at_work() -> bool:
            return min(one.sent(), other.sent()) >= 2 and bool(refreshes(site))

        await eventually(at_work, "both beats enqueue and the worker refreshes")
        started, before = time.monotonic(), len(refreshes(site))
        sent = one.sent(), other.sent()

        async def many_rounds() -> bool:
            return one.sent() - sent[0] >= 10 and other.sent() - sent[1] >= 10

        await eventually(many_rounds, "ten rounds of both")
        seconds = time.monotonic() - started
        runs = refreshes(site)[before:]
        assert await warnings(runtime) == {}

    refreshed = sum(int(str(run["refilled"])) for run in runs)
    collided = sum(int(str(run["already"])) for run in runs)
    saved = 2
    assert refreshed <= PER_REQUEST * (CALLS_PER_SECOND * (seconds + 1) + saved)
    assert refreshed >= PER_REQUEST * CALLS_PER_SECOND * seconds / 2
    assert collided == 0


async def test_a_beat_that_died_is_noticed_by_the_workers_and_by_the_api(
    site: Site, runtime: Runtime
) -> None:
    with beats(site, 1) as (beat,):

        async def is_heard() -> bool:
            return (await runtime.beat.silent_seconds() or 99) < 1

        await eventually(is_heard, "a sign of beat")
        told = len(site.logged("beat.silent"))
        beat.process.kill()
        beat.process.wait()

        async def is_told() -> bool:
            return len(site.logged("beat.silent")) > told

        await eventually(is_told, "a worker warns")
        assert "silent for" in (await warnings(runtime))["beat"]


async def test_a_vault_goes_on_to_be_served_while_beat_is_dead(
    site: Site, runtime: Runtime
) -> None:
    async with asyncio.timeout(10):
        served = await runtime.reader(0).read_many(VAULTS[:1])

    assert isinstance(served[VAULTS[0]].answer, Fresh)
