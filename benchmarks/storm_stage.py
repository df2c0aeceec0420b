"""What runs during a login storm: the node, the workers, cache and registry, each a program."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import psutil

from benchmarks.common import refuse
from benchmarks.storm_users import Population, write
from cli.demo.nodes import SimulatedNode
from config.settings import Settings
from provider.node import NodeProvider
from runtime.assembly import Runtime
from supervisor.ports import free_port, is_listening
from supervisor.processes import spawn, stop
from supervisor.valkey import EmbeddedServer
from supervisor.waiting import wait_until
from tasks.publisher import CeleryPublisher, open_publisher

LATENCY_SECONDS = 0.5
CALLS_PER_SECOND = 20
WARMUP_CONCURRENCY = 16
"""More than the 10 that the budget keeps under way at the node: a place is held until the answer is
in the cache."""

PROCESSES = 2
"""Workers for warm-ups."""

_EVENT = re.compile(rb'"event": *"([^"]+)"')

Programs: TypeAlias = Mapping[str, Sequence[subprocess.Popen[bytes]]]


@dataclass
class _Counted:
    """Reads a log once, however often it is asked: what looks on must cost little."""

    read: int = 0
    events: Counter[str] = field(default_factory=Counter)

    def update(self, log: Path) -> Counter[str]:
        with log.open("rb") as lines:
            lines.seek(self.read)
            news, _, _ = lines.read().rpartition(b"\n")
        self.read += len(news) + bool(news)
        self.events.update(one.decode() for one in _EVENT.findall(news))
        return self.events


@dataclass
class Stage:
    """Everything that runs during a storm.

    Attributes:
        settings: what the workers run with.
        runtime: the same parts as theirs, for looking.
        publisher: whoever logs in.
        node: its administration.
        direct: asks the node beside the cache and the budget.
        programs: what runs, by kind.
        log: what the workers write.
        counted: how much of it was read, and how often each event was in that.
    """

    settings: Settings
    runtime: Runtime
    publisher: CeleryPublisher
    node: SimulatedNode
    direct: NodeProvider
    programs: Programs
    log: Path
    counted: _Counted = field(default_factory=_Counted)

    async def planned(self) -> int:
        """Return how many logins have been planned."""
        return (await self.runtime.cache.counts()).get("warmups", 0)

    def succeeded(self, event: str) -> int:
        """Return how often the workers wrote an event."""
        return self.counted.update(self.log)[event]

    def cpu_seconds(self) -> dict[str, float]:
        """Return what each kind of program has computed so far, this one as ``logins``."""
        spent = {kind: sum(map(_cpu_seconds, some)) for kind, some in self.programs.items()}
        return {**spent, "logins": time.process_time()}


def _cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    program = psutil.Process(process.pid)
    times = [one.cpu_times() for one in (program, *program.children(recursive=True))]
    return sum(one.user + one.system for one in times)


@contextlib.contextmanager
def _programs(
    directory: Path, environment: dict[str, str], pool: tuple[str, ...], node_port: int
) -> Iterator[tuple[Path, Programs]]:
    """Run the node and the workers."""
    log = directory / "workers.log"
    node = ("devnet", "--port", str(node_port), "--block-seconds", "0", "--chain-id", "9889")
    node += ("--latency-ms", str(int(LATENCY_SECONDS * 1000)))
    celery = ("celery", "-A", "tasks", "worker", "--without-mingle", "--without-gossip")
    workers = (
        (*celery, "-Q", "invalidation", "-c", "2", "-n", "invalidation@storm"),
        *(
            (*celery, "-Q", "warmup,refresh", *pool, "-n", f"warmup-{place}@storm")
            for place in range(PROCESSES)
        ),
    )
    with log.open("ab") as output:
        children = [spawn([sys.executable, "-m", *node], output=subprocess.DEVNULL)]
        try:
            wait_until(lambda: is_listening(node_port), seconds=20)
            children += [
                spawn(
                    [sys.executable, "-m", *arguments],
                    environment=environment,
                    output=output,
                    death_signal=signal.SIGKILL,
                )
                for arguments in workers
            ]
            ready = '"worker.ready"'
            if not wait_until(lambda: log.read_text().count(ready) == len(workers), seconds=60):
                refuse(f"the workers did not start: {log.read_text()[-2000:]}")
            yield log, {"node": children[:1], "workers": children[1:]}
        finally:
            for child in reversed(children):
                stop(child)


@contextlib.asynccontextmanager
async def stage(
    people: Population, broker_url: str, pool: tuple[str, ...], broker: EmbeddedServer | None = None
) -> AsyncIterator[Stage]:
    """Run everything that a storm needs, on free ports; `broker` is whose computing is counted."""
    node_port = free_port()
    cache = EmbeddedServer.start(memory="512mb")
    try:
        with tempfile.TemporaryDirectory(prefix="balance-cache-storm-") as name:
            directory = Path(name)
            database = f"sqlite:///{directory / 'registry.sqlite3'}"
            await write(database, people)
            url = f"http://127.0.0.1:{node_port}/v1/graphql"
            network = {"chainId": 9889, "name": "simulated", "urls": [url]}
            environment = {
                "REDIS_URL": cache.url(),
                "CELERY_BROKER_URL": broker_url,
                "DATABASE_URL": database,
                "FUEL_NETWORKS": json.dumps([network]),
                "NODE_CALLS_PER_SECOND": str(CALLS_PER_SECOND),
                "WARMUP_CONCURRENCY": str(WARMUP_CONCURRENCY),
            }
            named: dict[str, Any] = {
                k if k == "REDIS_URL" else k.lower(): v for k, v in environment.items()
            }
            settings = Settings(**named)
            with _programs(directory, environment, pool, node_port) as (log, running):
                node = SimulatedNode(f"http://127.0.0.1:{node_port}")
                runtime = await Runtime.open(settings)
                try:
                    async with open_publisher(settings, seconds=10.0) as publisher:
                        servers = {"cache": [cache.process]}
                        if broker is not None:
                            servers["broker"] = [broker.process]
                        programs = {**running, **servers}
                        direct = NodeProvider(
                            settings.network(9889), timeout_seconds=60, concurrency=10
                        )
                        yield Stage(settings, runtime, publisher, node, direct, programs, log)
                        await direct.close()
                finally:
                    await node.close()
                    await runtime.close()
    finally:
        cache.stop()
