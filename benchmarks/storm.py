"""A login storm: how many node requests and how much time it costs, and who is harmed meanwhile.

``make bench-storm`` runs it: 1,000 logins of ten vaults at once, 30 % of them shared, a simulated
node at 500 ms, a budget of 20 calls a second, two worker processes for warm-ups and one for
invalidations, each a program of its own. In the middle transactions are confirmed, and somebody
keeps reading ten warm vaults. Exit code 1, and no figures, when a bar is missed that has nothing to
do with this machine's speed: the number of node requests, and that every vault is right.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.common import refuse, save
from benchmarks.storm_users import Population, population, write
from cache.warm_ups import Shelf
from cli.demo.nodes import SimulatedNode
from config.settings import Settings
from devnet.options import BASE_ASSET_ID
from domain.values import Address, Fresh, Lane
from runtime.assembly import Runtime
from supervisor.ports import free_port, is_listening
from supervisor.processes import spawn, stop
from supervisor.valkey import BROKER_POLICY, EmbeddedServer
from supervisor.waiting import wait_until
from tasks.names import INVALIDATE, WARM_USER, WARMUP_EXPIRES_SECONDS, Queue
from tasks.publisher import CeleryPublisher, open_publisher

LATENCY_SECONDS = 0.5
CALLS_PER_SECOND = 20
REQUEST = 200
TRANSACTIONS = 5
READ_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Figures:
    """One storm.

    Attributes:
        broker: redis or rabbitmq.
        pool: the kind of pool that the two warm-up processes run.
        logins: how many.
        distinct_vaults: what they have together.
        node_requests: GraphQL requests of the storm, those of the transactions left out.
        allowed_requests: 1.5 times the fewest possible.
        seconds: from the first login to the last warm vault.
        budget_bound_seconds: the fewest requests at the budget's rate, and one latency.
        process_bound_seconds: the same when each process has one request under way.
        transaction_seconds: from each confirmation to the right balance in the cache.
        read_ms_median: a read of ten warm vaults during the storm.
        read_ms_p99: the slowest hundredth of them.
    """

    broker: str
    pool: str
    logins: int
    distinct_vaults: int
    node_requests: int
    allowed_requests: int
    seconds: float
    budget_bound_seconds: float
    process_bound_seconds: float
    transaction_seconds: list[float]
    read_ms_median: float
    read_ms_p99: float


@dataclass
class Stage:
    """Everything that runs during a storm."""

    settings: Settings
    runtime: Runtime
    publisher: CeleryPublisher
    node: SimulatedNode
    log: Path

    def planned(self) -> int:
        """Return how many logins have been planned."""
        return self.log.read_text().count('"warm_up.planned"')

    def succeeded(self, event: str) -> int:
        """Return how often the workers wrote an event."""
        return self.log.read_text().count(f'"{event}"')


@contextlib.contextmanager
def _programs(
    directory: Path, environment: dict[str, str], pool: tuple[str, ...], node_port: int
) -> Iterator[Path]:
    """Run the node and the workers."""
    log = directory / "workers.log"
    node = ("devnet", "--port", str(node_port), "--block-seconds", "0", "--chain-id", "9889")
    node += ("--latency-ms", str(int(LATENCY_SECONDS * 1000)))
    celery = ("celery", "-A", "tasks", "worker", "--without-mingle", "--without-gossip")
    workers = (
        (*celery, "-Q", "invalidation", "-c", "2", "-n", "invalidation@storm"),
        *(
            (*celery, "-Q", "warmup,refresh", *pool, "-n", f"warmup-{place}@storm")
            for place in range(2)
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
            yield log
        finally:
            for child in reversed(children):
                stop(child)


@contextlib.asynccontextmanager
async def _stage(
    people: Population, broker_url: str, pool: tuple[str, ...]
) -> AsyncIterator[Stage]:
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
                "WARMUP_CONCURRENCY": str(int(CALLS_PER_SECOND * LATENCY_SECONDS)),
            }
            named: dict[str, Any] = {
                k if k == "REDIS_URL" else k.lower(): v for k, v in environment.items()
            }
            settings = Settings(**named)
            with _programs(directory, environment, pool, node_port) as log:
                node = SimulatedNode(f"http://127.0.0.1:{node_port}")
                runtime = await Runtime.open(settings)
                try:
                    async with open_publisher(settings, seconds=10.0) as publisher:
                        yield Stage(settings, runtime, publisher, node, log)
                finally:
                    await node.close()
                    await runtime.close()
    finally:
        cache.stop()


async def _storm(stage: Stage, people: Population) -> tuple[float, int, list[float], list[float]]:
    """Return its seconds, its node requests, the transactions' seconds, the reads' ms."""
    warm, pairs = _vaults_beside(people)
    await stage.node.give({a: [(BASE_ASSET_ID, 1000)] for pair in pairs for a in pair})
    await stage.runtime.reader(9889).refill([*warm, *sum(pairs, ())], lane=Lane.READ)
    before = await stage.node.requests()
    begun = time.monotonic()
    over = asyncio.Event()
    reading = asyncio.create_task(_keep_reading(stage, warm, over))
    paying = asyncio.create_task(_pay_now_and_then(stage, pairs))
    for user in people.users:
        await stage.publisher.send(
            WARM_USER, [user, 9889], queue=Queue.WARMUP, expires=WARMUP_EXPIRES_SECONDS
        )
    await _until_warm(stage, len(people.users))
    seconds = time.monotonic() - begun
    transactions = await paying
    over.set()
    reads = await reading
    requests = await stage.node.requests() - before - _refills(stage)
    answers = await stage.runtime.cache.read(9889, people.distinct)
    cold = sum(not isinstance(answer, Fresh) for answer in answers.values())
    if cold:
        refuse(f"{cold} vaults are not warm")
    return seconds, requests, transactions, reads


def _vaults_beside(people: Population) -> tuple[list[Address], list[tuple[Address, Address]]]:
    """Vaults that nobody of the storm has: ten to read, two for each transaction."""
    first = 3 * 10**9
    beside = ["0x" + format(first + n, "064x") for n in range(10 + 2 * TRANSACTIONS)]
    if set(beside) & set(people.distinct):
        refuse("the vaults beside the storm belong to it")
    pairs = [(beside[n], beside[n + 1]) for n in range(10, len(beside), 2)]
    return beside[:10], pairs


def _refills(stage: Stage) -> int:
    return stage.succeeded("invalidation.refilled")


async def _until_warm(stage: Stage, logins: int) -> None:
    shelves = [Shelf(9889, later, REQUEST) for later in (False, True)]
    async with asyncio.timeout(180):
        while True:
            left = [await stage.runtime.warm_ups.waiting(shelf) for shelf in shelves]
            if stage.planned() >= logins and not sum(left):
                return
            await asyncio.sleep(0.05)


async def _keep_reading(stage: Stage, warm: list[Address], over: asyncio.Event) -> list[float]:
    took = []
    while not over.is_set():
        begun = time.perf_counter()
        served = await stage.runtime.reader(9889).read_many(warm, allow_stale=True)
        took.append((time.perf_counter() - begun) * 1000)
        if len(served) != len(warm):
            refuse("a read did not answer for each vault")
        await asyncio.sleep(READ_PAUSE_SECONDS)
    return took


async def _pay_now_and_then(stage: Stage, pairs: list[tuple[Address, Address]]) -> list[float]:
    took = []
    for sender, receiver in pairs:
        await asyncio.sleep(0.7)
        confirmed = await stage.node.transfer(sender, receiver, BASE_ASSET_ID, 400)
        begun = time.monotonic()
        await stage.publisher.send(
            INVALIDATE,
            [[sender, receiver], 9889, confirmed.block_height, confirmed.transaction_id],
            queue=Queue.INVALIDATION,
        )
        await _until_right(stage, {sender: 600, receiver: 1400}, confirmed.block_height)
        took.append(round(time.monotonic() - begun, 3))
    return took


async def _until_right(stage: Stage, amounts: dict[Address, int], height: int) -> None:
    async with asyncio.timeout(60):
        while True:
            answers = await stage.runtime.cache.read(9889, list(amounts))
            if all(
                isinstance(answer, Fresh) and answer.stored.snapshot.height >= height
                for answer in answers.values()
            ):
                break
            await asyncio.sleep(0.01)
    for address, answer in answers.items():
        held = answer.stored.snapshot.balances if isinstance(answer, Fresh) else ()
        if [balance.amount for balance in held] != [amounts[address]]:
            refuse(f"{address} is wrong after its transaction")


async def measure(logins: int, vaults: int, pool: str, broker_url: str) -> Figures:
    """Run one storm."""
    people = population(logins, vaults, 0.3)
    options = ("-P", "prefork", "-c", "1") if pool == "prefork" else ("-P", "threads", "-c", "6")
    async with _stage(people, broker_url, options) as stage:
        seconds, requests, transactions, reads = await _storm(stage, people)
    fewest = math.ceil(len(people.distinct) / REQUEST)
    return Figures(
        broker="rabbitmq" if broker_url.startswith("amqp") else "redis",
        pool=pool,
        logins=logins,
        distinct_vaults=len(people.distinct),
        node_requests=requests,
        allowed_requests=int(1.5 * fewest),
        seconds=round(seconds, 2),
        budget_bound_seconds=fewest / CALLS_PER_SECOND + LATENCY_SECONDS,
        process_bound_seconds=math.ceil(fewest / 2) * LATENCY_SECONDS,
        transaction_seconds=transactions,
        read_ms_median=round(statistics.median(reads), 2),
        read_ms_p99=round(sorted(reads)[int(len(reads) * 0.99)], 2),
    )


def show(console: Console, figures: Figures) -> None:
    """Print one storm."""
    table = Table("figure", "value", title=f"Login storm, {figures.broker}, {figures.pool}")
    for name, value in asdict(figures).items():
        table.add_row(name.replace("_", " "), str(value))
    console.print(table)


def main(
    logins: Annotated[int, typer.Option(help="Logins at once.")] = 1000,
    vaults: Annotated[int, typer.Option(help="Vaults of each.")] = 10,
    pool: Annotated[str, typer.Option(help="threads or prefork: the warm-up processes.")] = (
        "threads"
    ),
    broker_url: Annotated[str, typer.Option(help="amqp://…; default: an embedded Redis.")] = "",
) -> None:
    """Measure a login storm."""
    broker = None if broker_url else EmbeddedServer.start(policy=BROKER_POLICY)
    try:
        url = broker.url() if broker is not None else broker_url
        figures = asyncio.run(measure(logins, vaults, pool, url))
    finally:
        if broker is not None:
            broker.stop()
    show(Console(), figures)
    if figures.node_requests > figures.allowed_requests:
        refuse(f"{figures.node_requests} node requests, allowed {figures.allowed_requests}")
    save(f"storm_{figures.broker}_{figures.pool}", asdict(figures))


if __name__ == "__main__":
    typer.run(main)
