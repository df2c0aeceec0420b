"""A real Celery worker with all that it works with: nodes, cache, broker, registry."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.values import Address, Fresh
from registry.seed import SeededUser, seed_user
from registry.store import Registry
from runtime.assembly import Runtime
from supervisor.processes import spawn, stop
from supervisor.valkey import EmbeddedServer
from supervisor.waiting import wait_until
from tasks.names import PUBLISH_LOST, Queue
from tasks.publisher import open_publisher

CHAIN_IDS = (9889, 0)
SECONDS = 20.0


@dataclass
class Site:
    """A worker with everything that it works with."""

    environment: dict[str, str]
    settings: Settings
    nodes: dict[int, DevnetServer]
    cache: EmbeddedServer
    user: SeededUser
    log_path: Path
    worker: subprocess.Popen[bytes] | None = None

    def start_worker(self) -> None:
        with self.log_path.open("ab") as log:
            self.worker = spawn(
                [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency", "2"],
                environment=self.environment,
                output=log,
                death_signal=signal.SIGKILL,
            )
        ready = self.log().count("worker.ready") + 1
        assert wait_until(lambda: self.log().count("worker.ready") >= ready, seconds=30)

    def restart_worker(self, **changes: str) -> None:
        """End the worker and start one with some variables changed."""
        if self.worker is not None:
            stop(self.worker)
        self.environment |= changes
        self.start_worker()

    def log(self) -> str:
        return self.log_path.read_text()

    def logged(self, event: str) -> list[dict[str, object]]:
        lines = [line for line in self.log().splitlines() if line.startswith("{")]
        return [entry for entry in map(json.loads, lines) if entry.get("event") == event]

    def fetches(self, chain_id: int) -> int:
        """How often balances were asked for; who a node is, each process asks now and then."""
        return int(self.nodes[chain_id].devnet.log.counts()["byOperation"].get("Balances", 0))

    def requests(self, chain_id: int) -> int:
        return int(self.nodes[chain_id].devnet.log.counts()["graphql"])


@contextmanager
def working_site(
    directory: Path, broker_url: str, *, node_login: str = "", **changes: str
) -> Iterator[Site]:
    """Start everything but the broker, and end it; `changes` are more variables.

    `node_login` (user:password) stands in the addresses of the nodes, who do not ask for it.
    """
    user_at = f"{node_login}@" if node_login else ""
    nodes = {
        chain_id: DevnetServer(DevnetOptions(port=0, chain_id=chain_id, block_seconds=0)).start()
        for chain_id in CHAIN_IDS
    }
    cache = EmbeddedServer.start()
    networks = [
        {
            "chainId": chain_id,
            "name": f"chain {chain_id}",
            "urls": [node.url.replace("://", f"://{user_at}")],
        }
        for chain_id, node in nodes.items()
    ]
    environment = {
        "REDIS_URL": cache.url(),
        "CELERY_BROKER_URL": broker_url,
        "DATABASE_URL": f"sqlite:///{directory / 'registry.sqlite3'}",
        "FUEL_NETWORKS": json.dumps(networks),
        "WARMUP_MAX_PREDICATES": "6",
        **changes,
    }
    named: dict[str, Any] = {
        k if k == "REDIS_URL" else k.lower(): v for k, v in environment.items()
    }
    settings = Settings(**named)
    user = asyncio.run(_seed(settings))
    site = Site(environment, settings, nodes, cache, user, directory / "worker.log")
    try:
        site.start_worker()
        yield site
    finally:
        if site.worker is not None:
            stop(site.worker)
        cache.stop()
        for node in nodes.values():
            node.stop()


async def _seed(settings: Settings) -> SeededUser:
    registry = Registry.open(settings.database_url)
    await registry.create_schema()
    await registry.close()
    return await seed_user(settings.database_url, settings.fuel_networks[0], seed=7)


async def eventually(
    condition: Callable[[], Awaitable[bool]], what: str, *, seconds: float = SECONDS
) -> None:
    try:
        async with asyncio.timeout(seconds):
            while True:
                if await condition():
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not in time: {what}")


async def eventually_with_beat(
    site: Site, condition: Callable[[], Awaitable[bool]], what: str
) -> None:
    """Wait as long as it may take until a message that a Redis broker lost is found again.

    Plays the part of beat, who has it looked for.
    """
    async with open_publisher(site.settings, seconds=5.0) as publisher:
        next_look = 0.0

        async def looked() -> bool:
            nonlocal next_look
            now = asyncio.get_running_loop().time()
            if now >= next_look:
                next_look = now + 2.0
                await publisher.send(PUBLISH_LOST, [], queue=Queue.INVALIDATION, expires=10)
            return await condition()

        await eventually(looked, what, seconds=90.0)


async def fresh(runtime: Runtime, chain_id: int, addresses: tuple[Address, ...]) -> set[Address]:
    answers = await runtime.cache.read(chain_id, addresses)
    return {address for address, answer in answers.items() if isinstance(answer, Fresh)}
