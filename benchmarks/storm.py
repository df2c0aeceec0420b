"""A login storm: how many node requests and how much time it costs, and who is harmed meanwhile.

``make bench-storm`` runs it: 1,000 logins of ten vaults at once, 30 % of them shared, a simulated
node at 500 ms, a budget of 20 calls a second, two worker processes for warm-ups and one for
invalidations, each a program of its own. In the middle transactions are confirmed, and somebody
keeps reading ten warm vaults. Exit code 1, and no figures, when a bar is missed that has nothing to
do with this machine's speed: the number of node requests, and that every vault is right.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.common import refuse, save, until
from benchmarks.storm_payments import Payment, pay_now_and_then
from benchmarks.storm_stage import (
    CALLS_PER_SECOND,
    LATENCY_SECONDS,
    PROCESSES,
    WARMUP_CONCURRENCY,
    Stage,
    stage,
)
from benchmarks.storm_users import Population, population
from cache.warm_ups import Shelf
from devnet.options import BASE_ASSET_ID
from domain.values import Address, Fresh, Lane
from supervisor.valkey import BROKER_POLICY, EmbeddedServer
from tasks.names import WARM_USER, WARMUP_EXPIRES_SECONDS, Queue
from tasks.warming import BEHIND_AT_ONCE

REQUEST = 200
TRANSACTIONS = 5
READ_PAUSE_SECONDS = 0.05
HANDLING_SECONDS = 0.2
"""How much longer than one node call a confirmed transaction may take."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One storm.

    Attributes:
        broker: redis or rabbitmq.
        pool: the kind of pool that the two warm-up processes run.
        logins: how many.
        one_by_one: each in a message of its own, as programs publish that write to the broker
            themselves; else as the API does, where those that come together share messages.
        distinct_vaults: what they have together.
        node_requests: GraphQL requests of the storm, those of the transactions left out.
        allowed_requests: 1.5 times the fewest possible.
        seconds: from the first login to the last warm vault.
        node_bound_seconds: the fewest requests as fast as the budget, `WARMUP_CONCURRENCY` and the
            processes allow, if nothing but the node cost time. A process has as many under way as
            it has tasks, and those that it fetches beside its planning.
        seconds_without_tasks: the same number of vaults fetched and published here by one program
            in the fewest requests, with nothing else to do: what this machine needs for it.
        cpu_seconds: computing time by kind of program; all run on this machine. ``logins`` is the
            program that logs in, pays, reads and looks whether all is warm.
        transaction_seconds: from each confirmation to the right balance in the cache.
        node_call_seconds: a call of ours about the same two vaults, made when the worker makes its
            own.
        transactions_in_time: those that took no more than 0.2 s longer than that.
        read_ms_median: a read of ten warm vaults during the storm.
        read_ms_p99: the slowest hundredth of them.
    """

    broker: str
    pool: str
    logins: int
    one_by_one: bool
    distinct_vaults: int
    node_requests: int
    allowed_requests: int
    seconds: float
    node_bound_seconds: float
    seconds_without_tasks: float
    cpu_seconds: dict[str, float]
    transaction_seconds: list[float]
    node_call_seconds: list[float]
    transactions_in_time: int
    read_ms_median: float
    read_ms_p99: float


@dataclass(frozen=True, slots=True)
class Storm:
    """What was measured; see `Figures`."""

    seconds: float
    requests: int
    cpu: dict[str, float]
    payments: list[Payment]
    reads: list[float]


async def _storm(stage: Stage, people: Population, *, one_by_one: bool) -> Storm:
    beside = _vaults_beside(people)
    warm, paying = beside[:10], beside[10 : 10 + 2 * TRANSACTIONS]
    pairs = list(zip(paying[::2], paying[1::2], strict=True))
    await stage.node.give({a: [(BASE_ASSET_ID, 1000)] for a in (*people.distinct, *paying)})
    # A full request: the simulated node takes long to read the text of its first one.
    await stage.runtime.reader(9889).refill(beside, lane=Lane.READ)
    await stage.direct.fetch_many(beside[:2])  # it asks first who the node is
    requests, cpu = await stage.node.requests(), stage.cpu_seconds()
    begun = time.monotonic()
    over = asyncio.Event()
    reading = asyncio.create_task(_keep_reading(stage, warm, over))
    paying = asyncio.create_task(pay_now_and_then(stage, pairs))
    await _log_in(stage, people, one_by_one=one_by_one)
    await _until_warm(stage, len(people.users))
    seconds = time.monotonic() - begun
    spent = {kind: after - cpu[kind] for kind, after in stage.cpu_seconds().items()}
    payments = await paying
    over.set()
    reads = await reading
    requests = await stage.node.requests() - requests - _refills(stage) - len(payments)
    await _check(stage, people)
    return Storm(seconds, requests, spent, payments, reads)


async def _log_in(stage: Stage, people: Population, *, one_by_one: bool) -> None:
    if not one_by_one:
        await asyncio.gather(*(stage.publisher.warm_user(user, 9889) for user in people.users))
        return
    for user in people.users:
        await stage.publisher.send(
            WARM_USER, [user, 9889], queue=Queue.WARMUP, expires=WARMUP_EXPIRES_SECONDS
        )


async def _check(stage: Stage, people: Population) -> None:
    answers = await stage.runtime.cache.read(9889, people.distinct)
    wrong = [
        address
        for address, answer in answers.items()
        if not isinstance(answer, Fresh)
        or [balance.amount for balance in answer.stored.snapshot.balances] != [1000]
    ]
    if wrong:
        refuse(f"{len(wrong)} vaults are cold or wrong, for example {wrong[0]}")


async def _without_tasks(stage: Stage, vaults: int) -> float:
    """Fetch and publish as many other vaults from here; return the seconds."""
    first = 4 * 10**9
    others = ["0x" + format(first + n, "064x") for n in range(vaults)]
    await stage.node.give({address: [(BASE_ASSET_ID, 1000)] for address in others})
    reader, at_once = stage.runtime.reader(9889), stage.settings.warmup_concurrency
    places = asyncio.Semaphore(at_once)

    async def fetch(some: list[Address]) -> None:
        async with places:
            await reader.refill(some, lane=Lane.WARMUP)

    begun = time.monotonic()
    await asyncio.gather(*(fetch(others[at : at + REQUEST]) for at in range(0, vaults, REQUEST)))
    seconds = time.monotonic() - begun
    answers = await stage.runtime.cache.read(9889, others)
    if not all(isinstance(answer, Fresh) for answer in answers.values()):
        refuse("the fetch without tasks left cold vaults")
    return seconds


def _vaults_beside(people: Population) -> list[Address]:
    """A request's worth of vaults that nobody of the storm has."""
    first = 3 * 10**9
    beside = ["0x" + format(first + n, "064x") for n in range(REQUEST)]
    if set(beside) & set(people.distinct):
        refuse("the vaults beside the storm belong to it")
    return beside


def _refills(stage: Stage) -> int:
    return stage.succeeded("invalidation.refilled")


async def _until_warm(stage: Stage, logins: int) -> None:
    shelves = [Shelf(9889, later, REQUEST) for later in (False, True)]

    async def is_warm() -> bool:
        left = [await stage.runtime.warm_ups.waiting(shelf) for shelf in shelves]
        return await stage.planned() >= logins and not sum(left)

    await until(is_warm, seconds=180, pause_seconds=0.05)


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


async def measure(
    people: Population,
    pool: str,
    broker_url: str,
    broker: EmbeddedServer | None,
    *,
    one_by_one: bool,
) -> Figures:
    """Run one storm; `broker` is the server at the URL if it is ours."""
    at_once = 1 if pool == "prefork" else 6
    options = ("-P", pool, "-c", str(at_once))
    async with stage(people, broker_url, options, broker) as running:
        storm = await _storm(running, people, one_by_one=one_by_one)
        alone = await _without_tasks(running, len(people.distinct))
    fewest = math.ceil(len(people.distinct) / REQUEST)
    under_way = min(WARMUP_CONCURRENCY, PROCESSES * (at_once + BEHIND_AT_ONCE))
    return Figures(
        broker="rabbitmq" if broker_url.startswith("amqp") else "redis",
        pool=pool,
        logins=len(people.users),
        one_by_one=one_by_one,
        distinct_vaults=len(people.distinct),
        node_requests=storm.requests,
        allowed_requests=int(1.5 * fewest),
        seconds=round(storm.seconds, 2),
        node_bound_seconds=max(
            fewest / CALLS_PER_SECOND + LATENCY_SECONDS,
            math.ceil(fewest / under_way) * LATENCY_SECONDS,
        ),
        seconds_without_tasks=round(alone, 2),
        cpu_seconds={kind: round(seconds, 1) for kind, seconds in storm.cpu.items()},
        transaction_seconds=[payment.seconds for payment in storm.payments],
        node_call_seconds=[payment.node_call_seconds for payment in storm.payments],
        transactions_in_time=sum(
            payment.seconds <= payment.node_call_seconds + HANDLING_SECONDS
            for payment in storm.payments
        ),
        read_ms_median=round(statistics.median(storm.reads), 2),
        read_ms_p99=round(sorted(storm.reads)[int(len(storm.reads) * 0.99)], 2),
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
    one_by_one: Annotated[
        bool, typer.Option("--one-by-one", help="A message for each login, not as the API does.")
    ] = False,
) -> None:
    """Measure a login storm."""
    broker = None if broker_url else EmbeddedServer.start(policy=BROKER_POLICY)
    try:
        url = broker.url() if broker is not None else broker_url
        people = population(logins, vaults, 0.3)
        figures = asyncio.run(measure(people, pool, url, broker, one_by_one=one_by_one))
    finally:
        if broker is not None:
            broker.stop()
    show(Console(), figures)
    if figures.node_requests > figures.allowed_requests:
        refuse(f"{figures.node_requests} node requests, allowed {figures.allowed_requests}")
    name = f"storm_{figures.broker}_{figures.pool}"
    save(f"{name}_one_by_one" if one_by_one else name, asdict(figures))


if __name__ == "__main__":
    typer.run(main)
