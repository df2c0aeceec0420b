"""The demo, as a newcomer runs it: a program of its own on real parts."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from redis import Redis

from supervisor.ports import free_port, is_listening
from supervisor.valkey import EmbeddedServer
from tests.conftest import require
from tests.process_support import Program, running
from tests.rabbitmq_support import virtual_host
from tests.worker_support import working_site

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

POSTGRESQL_PORT = 5432


def figures_of(program: Program) -> dict[str, Any]:
    assert program.end(120) == 0, program.errors()
    figures: dict[str, Any] = json.loads(program.output().splitlines()[-1])
    return figures


def assert_the_story_held(figures: dict[str, Any]) -> None:
    before, warmup, after = figures["before"], figures["warmup"], figures["after"]
    assert before["node_calls"] == 11
    assert before["seconds"] >= 11 * 0.5
    assert warmup["predicates"] == 10
    assert warmup["node_requests"] == 2  # one for each network
    assert after["node_calls"] == 0
    assert after["seconds"] < before["seconds"]
    assert figures["transaction"]["stale_reads"] == 0
    assert figures["transaction"]["seconds_until_right"] > 0
    assert figures["refresh"]["refreshed"] == 10


def test_the_demo_holds_where_nothing_is_installed(tmp_path: Path) -> None:
    with running(tmp_path, "demo", "--json") as program:
        figures = figures_of(program)

        assert_the_story_held(figures)
        assert program.leaves_nothing()


@pytest.fixture
def fresh_database() -> Iterator[str]:
    """A PostgreSQL database of this test alone."""
    require(is_listening(POSTGRESQL_PORT), "PostgreSQL on port 5432")
    name = f"balance_cache_{uuid4().hex}"
    server = f"postgresql://postgres@127.0.0.1:{POSTGRESQL_PORT}"

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(f"{server}/postgres")
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(execute(f"CREATE DATABASE {name}"))
    yield f"{server}/{name}"
    asyncio.run(execute(f"DROP DATABASE {name} WITH (FORCE)"))


def test_the_demo_holds_on_rabbitmq_postgresql_and_a_given_redis(
    tmp_path: Path, fresh_database: str, cache_server: EmbeddedServer
) -> None:
    with virtual_host() as broker_url:
        services = {
            "REDIS_URL": cache_server.url(9),
            "CELERY_BROKER_URL": broker_url,
            "DATABASE_URL": fresh_database,
        }
        with running(tmp_path, "demo", "--json", **services) as program:
            assert_the_story_held(figures_of(program))

    # What simulated nodes told never stood where balances of a real chain are looked for.
    with Redis.from_url(cache_server.url(9), decode_responses=True) as client:
        chains = {key.rpartition(":")[2] for key in client.scan_iter("bc:hot:*")}
    assert chains
    assert not chains & {"9889", "0"}


def test_the_demo_takes_no_tasks_from_the_workers_of_others(
    tmp_path: Path, broker_server: EmbeddedServer
) -> None:
    broker_url = broker_server.url(9)
    with (
        working_site(tmp_path, broker_url),
        running(tmp_path, "demo", CELERY_BROKER_URL=broker_url) as program,
    ):
        assert program.end() == 2
        (line,) = program.errors().splitlines()

        assert "CELERY_BROKER_URL: celery@" in line


@pytest.mark.parametrize("variable", ["REDIS_URL", "CELERY_BROKER_URL", "DATABASE_URL"])
def test_a_service_that_does_not_answer_is_named_in_one_line(tmp_path: Path, variable: str) -> None:
    scheme = "postgresql" if variable == "DATABASE_URL" else "redis"
    url = f"{scheme}://someone:hidden@127.0.0.1:{free_port()}/0"
    with running(tmp_path, "demo", **{variable: url}) as program:
        assert program.end() == 2
        (line,) = program.errors().splitlines()

        assert variable in line
        assert "hidden" not in line


def test_a_demo_that_is_killed_midway_leaves_no_process_behind(tmp_path: Path) -> None:
    with running(tmp_path, "demo") as program:
        program.wait_for("1. the dashboard without cache")
        before = program.left_behind()
        program.process.send_signal(signal.SIGKILL)
        program.end()

        assert any("celery" in line for line in before)
        assert any("valkey" in line for line in before)
        assert program.leaves_nothing(), program.left_behind()


def test_a_wrong_variable_is_named_in_one_line_and_nothing_starts(tmp_path: Path) -> None:
    with running(tmp_path, "demo", BALANCE_CACHE_TTL="soon") as program:
        assert program.end() == 2
        (line,) = program.errors().splitlines()

        assert "BALANCE_CACHE_TTL" in line
        assert program.output() == ""
