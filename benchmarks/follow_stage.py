"""What runs while `benchmarks.follow` measures: node, cache, broker, worker and beat."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import insert, select

from benchmarks.common import refuse
from benchmarks.follow_chain import Simulator, simulator
from config.settings import Settings
from domain.values import Address
from registry.engine import open_engine
from registry.models import Predicate, User
from registry.seed import seed_user
from registry.store import Registry
from supervisor.processes import spawn, stop
from supervisor.valkey import BROKER_POLICY, EmbeddedServer
from supervisor.waiting import wait_until

CHAIN_ID = 0


@contextlib.contextmanager
def programs(latency_ms: int) -> Iterator[tuple[Settings, Simulator]]:
    """Start everything, and end it."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-follow-")))
        cache, broker = EmbeddedServer.start(), EmbeddedServer.start(policy=BROKER_POLICY)
        stack.callback(cache.stop)
        stack.callback(broker.stop)
        node = stack.enter_context(simulator(latency_ms))
        network = {"chainId": CHAIN_ID, "name": "simulated", "urls": [node.url]}
        environment = {
            "REDIS_URL": cache.url(),
            "CELERY_BROKER_URL": broker.url(),
            "DATABASE_URL": f"sqlite:///{directory / 'registry.sqlite3'}",
            "FUEL_NETWORKS": json.dumps([network]),
            # Longer than the run: what is refreshed because it is old is no matter here.
            "BALANCE_CACHE_TTL": "7200",
        }
        named: dict[str, Any] = {
            name if name == "REDIS_URL" else name.lower(): value
            for name, value in environment.items()
        }
        settings = Settings(**named)
        asyncio.run(create_schema(settings))
        worker = ["celery", "-A", "tasks", "worker", "--concurrency", "2"]
        start(stack, directory, "worker", worker, environment)
        log = directory / "worker.log"
        if not wait_until(lambda: "worker.ready" in log.read_text(), seconds=40):
            refuse(f"the worker did not start: {log.read_text()[-2000:]}")
        schedule = str(directory / "schedule")
        beat = ["celery", "-A", "tasks", "beat", "--schedule", schedule]
        start(stack, directory, "beat", beat, environment)
        yield settings, node
        failed = [line for line in log.read_text().splitlines() if '"level": "error"' in line]
        if failed:
            refuse(f"the worker logged an error: {failed[0][:500]}")


def start(
    stack: contextlib.ExitStack,
    directory: Path,
    name: str,
    arguments: list[str],
    environment: dict[str, str],
) -> None:
    """Start one program with a log of its own."""
    with (directory / f"{name}.log").open("wb") as log:
        process: subprocess.Popen[bytes] = spawn(
            [sys.executable, "-m", *arguments],
            environment=environment,
            output=log,
            death_signal=signal.SIGKILL,
        )
    stack.callback(stop, process)


async def create_schema(settings: Settings) -> None:
    """Create the tables."""
    registry = Registry.open(settings.database_url)
    await registry.create_schema()
    await registry.close()


async def register(settings: Settings, vaults: list[Address]) -> None:
    """Write the vaults into the registry, as one user's."""
    user = await seed_user(settings.database_url, settings.fuel_networks[0], predicates=1)
    engine = open_engine(settings.database_url)
    async with engine.begin() as connection:
        found = await connection.execute(select(User.id).where(User.id == user.user_id))
        rows = [
            {
                "id": str(uuid4()),
                "name": "vault",
                "predicate_address": vault,
                "configurable": "{}",
                "root": False,
                "owner_id": found_id,
            }
            for found_id in [found.scalar_one()]
            for vault in vaults
        ]
        await connection.execute(insert(Predicate), rows)
    await engine.dispose()
