"""A kill storm: everything is killed, restarted and paused while logins, payments and reads go on.

``make check-kills N=100 SEED=7 BROKER=redis`` runs one; the same seed takes the same decisions.
Afterwards every accepted invalidation has happened, every vault is right, no lease is left, the
queues are empty and no process has leaked; otherwise the exit code is 1.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from celery import Celery
from kombu.exceptions import OperationalError

from cache.warm_ups import Shelf
from config.settings import Settings
from devnet.chain import AccountBalance
from devnet.options import BASE_ASSET_ID, DevnetOptions
from devnet.server import DevnetServer
from domain.errors import BalanceCacheError, CacheUnavailableError, PublishingError
from domain.values import Address, Fresh
from registry.seed import SeededUser, seed_user
from registry.store import Registry
from runtime.assembly import Runtime
from tasks.journal import ACCEPTED
from tasks.later import waiting_queue
from tasks.names import INVALIDATE, WARM_USER, WARMUP_EXPIRES_SECONDS, Queue
from tasks.publisher import CeleryPublisher, open_publisher
from tasks.settings import celery_configuration
from tests.broker_support import PrivateRedis, Server
from tests.rabbitmq_support import PrivateRabbit
from tests.storms.parts import MARK, Program, marked, programs

CHAIN_ID = 9889
START = 1_000_000
USERS = 3
SETTLE_SECONDS = 90.0
END_SECONDS = 30.0
VISIBILITY_SECONDS = 8


@dataclass
class Ledger:
    """What must be true at the end.

    Attributes:
        amounts: what each vault holds.
        accepted: ids of transactions whose invalidation the broker has taken.
        done: how often everything that goes on went on.
    """

    amounts: dict[Address, int]
    accepted: set[str] = field(default_factory=set)
    done: Counter[str] = field(default_factory=Counter)


@dataclass
class Storm:
    """All that runs, and all that happens to it."""

    random: random.Random
    node: DevnetServer
    cache: PrivateRedis
    broker: Server
    settings: Settings
    users: list[SeededUser]
    programs: list[Program]
    runtime: Runtime
    ledger: Ledger
    over: asyncio.Event = field(default_factory=asyncio.Event)
    events: Counter[str] = field(default_factory=Counter)

    async def log_in(self, publisher: CeleryPublisher) -> None:
        """Users log in."""
        user = self.random.choice(self.users)
        with suppress(PublishingError):
            await publisher.send(
                WARM_USER, [user.user_id], queue=Queue.WARMUP, expires=WARMUP_EXPIRES_SECONDS
            )
            self.ledger.done["logins"] += 1

    async def pay(self, publisher: CeleryPublisher) -> None:
        """A payment is confirmed, and its indexer insists until the broker has taken the word."""
        sender, receiver = self.random.sample(list(self.ledger.amounts), 2)
        paid = self.node.chain.transfer(sender, receiver, BASE_ASSET_ID, 1)
        self.ledger.amounts[sender] -= 1
        self.ledger.amounts[receiver] += 1
        arguments = [[sender, receiver], CHAIN_ID, paid.block_height, paid.transaction_id]
        while True:
            try:
                await publisher.send(INVALIDATE, arguments, queue=Queue.INVALIDATION)
            except PublishingError:
                await asyncio.sleep(0.2)
                continue
            self.ledger.accepted.add(paid.transaction_id)
            self.ledger.done["payments"] += 1
            return

    async def look(self, _: CeleryPublisher) -> None:
        """Somebody reads vaults; whatever is down, he gets an answer for each."""
        some = self.random.sample(list(self.ledger.amounts), 5)
        served = await self.runtime.reader(CHAIN_ID).read_many(some, wait_seconds=2)
        assert set(served) == set(some)
        self.ledger.done["reads"] += 1

    async def kill_worker(self) -> None:
        self.random.choice(self.programs[:2]).kill()

    async def kill_child(self) -> None:
        children = self.random.choice(self.programs[:2]).children()
        if children:
            with suppress(psutil.NoSuchProcess):
                self.random.choice(children).kill()

    async def kill_beat(self) -> None:
        self.programs[2].kill()

    async def restart_broker(self) -> None:
        await asyncio.to_thread(self.broker.restart)

    async def restart_cache(self) -> None:
        await asyncio.to_thread(self.cache.restart)

    async def pause(self) -> None:
        """Stop a worker, one of its processes, the broker or the cache for a moment."""
        workers = [p for p in self.programs[:2] if p.process is not None]
        children = [child.pid for worker in workers for child in worker.children()]
        mains = [worker.process.pid for worker in workers if worker.process is not None]
        process_id = self.random.choice(
            [*mains, *children, self.cache.process.pid, self.broker.process.pid]
        )
        with suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGSTOP)
            await asyncio.sleep(self.random.uniform(0.3, 1.5))
            os.kill(process_id, signal.SIGCONT)

    def keep_alive(self) -> None:
        """Start again whatever has been killed, as an orchestrator does."""
        for program in self.programs:
            program.keep_alive()


KINDS = {
    "kill_worker": 3,
    "kill_child": 4,
    "kill_beat": 1,
    "restart_broker": 1,
    "restart_cache": 1,
    "pause": 3,
}
"""What happens, and how often beside the others."""


async def _go_on(storm: Storm, publisher: CeleryPublisher) -> None:
    """Do what users do until the storm is over."""
    deeds = [storm.log_in, storm.pay, storm.pay, storm.look, storm.look]
    while not storm.over.is_set():
        await storm.random.choice(deeds)(publisher)
        await asyncio.sleep(0.03)


async def _strike(storm: Storm, count: int) -> None:
    """Do the worst, so many times, each kind at least once if there is room."""
    kinds = list(KINDS)[:count]
    kinds += storm.random.choices(list(KINDS), list(KINDS.values()), k=count - len(kinds))
    storm.random.shuffle(kinds)
    for kind in kinds:
        await getattr(storm, kind)()
        storm.events[kind] += 1
        await asyncio.sleep(storm.random.uniform(0.2, 0.8))
        storm.keep_alive()


async def _settled(storm: Storm) -> list[str]:
    """Wait until nothing is left to do; return what is still wrong at the deadline."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        storm.keep_alive()
        problems = await _problems(storm)
        if not problems or time.monotonic() > deadline:
            return problems
        await asyncio.sleep(0.3)


async def _problems(storm: Storm) -> list[str]:
    """Return what is not yet as it must be in the end."""
    done = {
        str(entry.get("transaction_id"))
        for program in storm.programs
        for entry in program.logged("invalidation.done")
    }
    missing = sorted(storm.ledger.accepted - done)
    found = [f"{len(missing)} accepted invalidations have not happened: {missing}"] * bool(missing)
    vaults = list(storm.ledger.amounts)
    try:
        answers = await storm.runtime.cache.read(CHAIN_ID, vaults)
        held = await storm.runtime.cache._leases.remaining_ms(CHAIN_ID, vaults)
        waiting = [
            await storm.runtime.warm_ups.waiting(Shelf(CHAIN_ID, later, 200))
            for later in (False, True)
        ]
        letters = await storm.runtime.dead_letters.listed()
    except CacheUnavailableError as error:
        return [*found, str(error)]
    stale = [a for a, answer in answers.items() if not _right(answer, storm.ledger.amounts[a])]
    fresh = sum(isinstance(answers[a], Fresh) for a in stale)
    if fresh:
        found.append(f"{fresh} vaults are served as fresh and wrong")
    leases = sum(left > 0 for left in held.values())
    counts = {"leases": leases, "warm-ups": sum(waiting), "dead letters": len(letters)}
    counts["messages"] = await asyncio.to_thread(_messages, storm.settings)
    return [*found, *(f"{count} {what} are left" for what, count in counts.items() if count)]


def _told_of(storm: Storm) -> list[str]:
    """Return what the logs tell of messages that were given up, and of those that are missing."""
    kept = [entry for p in storm.programs for entry in p.logged("task.dead_letter")]
    return [f"given up: {entry.get('task')}: {entry.get('reason')}" for entry in kept]


def _right(answer: Any, amount: int) -> bool:
    if not isinstance(answer, Fresh):
        return False
    return [balance.amount for balance in answer.stored.snapshot.balances] == [amount]


def _messages(settings: Settings) -> int:
    """Return how many messages are in the lanes; of the lane of warm-ups and refreshes, too."""
    app = Celery("storm-census", set_as_current=False)
    app.config_from_object(celery_configuration(settings))
    names = [queue.value for queue in Queue]
    if settings.celery_broker_url.startswith("amqp"):
        names += [waiting_queue(queue).name for queue in Queue]
    count = 0
    with app.connection_for_read() as connection:
        for name in names:
            channel: Any = connection.channel()  # what it can do is the transport's
            try:
                count += channel.queue_declare(name, passive=True).message_count
            except connection.channel_errors:
                continue  # no such queue: nothing was ever delayed in this lane
            if channel.connection is not None:
                channel.close()
        if not settings.celery_broker_url.startswith("amqp"):
            channel = connection.default_channel
            count += int(channel.client.hlen("unacked")) + int(channel.client.hlen(ACCEPTED))
    app.close()
    return count


async def _verdict(storm: Storm) -> list[str]:
    """Wait, then read every vault; return what is wrong."""
    # With beat, because it looks for lost messages; without it the lanes must stay empty.
    problems = await _settled(storm)
    storm.programs.pop(2).end(END_SECONDS)
    problems += await _settled(storm) if not problems else []
    problems += _told_of(storm)
    vaults = list(storm.ledger.amounts)
    served = await storm.runtime.reader(CHAIN_ID).read_many(vaults, wait_seconds=10)
    wrong = [a for a in vaults if not _right(served[a].answer, storm.ledger.amounts[a])]
    if wrong:
        problems.append(f"{len(wrong)} vaults are wrong, for example {wrong[0]}")
    for program in storm.programs:
        if not program.end(END_SECONDS):
            problems.append(f"the worker {program.name} did not end when asked to")
    try:
        left = await asyncio.to_thread(_messages, storm.settings)
    except (OperationalError, OSError) as error:
        return [*problems, f"the broker does not answer: {error}"]
    if left:
        problems.append(f"{left} messages came back when the workers ended")
    return problems


def _settings(environment: dict[str, str]) -> Settings:
    named: dict[str, Any] = {
        k if k == "REDIS_URL" else k.lower(): v for k, v in environment.items()
    }
    return Settings(**named)


async def _seed(settings: Settings, node: DevnetServer) -> list[SeededUser]:
    registry = Registry.open(settings.database_url)
    await registry.create_schema()
    await registry.close()
    network = settings.fuel_networks[0]
    users = [await seed_user(settings.database_url, network, seed=n + 1) for n in range(USERS)]
    vaults = {address for user in users for address in user.addresses}
    node.chain.set_balances([AccountBalance(a, BASE_ASSET_ID, START) for a in sorted(vaults)])
    return users


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened and what is wrong."""

    events: Counter[str]
    done: Counter[str]
    problems: list[str]


@dataclass(frozen=True, slots=True)
class World:
    """What the workers work with."""

    directory: Path
    node: DevnetServer
    cache: PrivateRedis
    broker: Server


async def run(count: int, seed: int, broker_kind: str) -> Outcome:
    """Run one storm; everything that it started has ended when it returns."""
    mark = uuid4().hex
    os.environ[MARK] = mark
    directory = tempfile.TemporaryDirectory(prefix="balance-cache-kills-")
    node = DevnetServer(
        DevnetOptions(port=0, chain_id=CHAIN_ID, block_seconds=0, latency_ms=50)
    ).start()
    cache = PrivateRedis(durable=False)
    broker: Server = PrivateRabbit() if broker_kind == "rabbitmq" else PrivateRedis(durable=True)
    try:
        world = World(Path(directory.name), node, cache, broker)
        outcome = await _run(count, seed, world)
    finally:
        broker.stop()
        cache.stop()
        node.stop()
        directory.cleanup()
    leaked = marked(mark)
    if leaked:
        outcome.problems.append(f"{len(leaked)} processes are left: {leaked}")
    return outcome


async def _run(count: int, seed: int, world: World) -> Outcome:
    directory, node, cache, broker = world.directory, world.node, world.cache, world.broker
    network = {"chainId": CHAIN_ID, "name": "storm", "urls": [node.url]}
    environment = {
        "REDIS_URL": cache.url,
        "CELERY_BROKER_URL": broker.url,
        "DATABASE_URL": f"sqlite:///{directory / 'registry.sqlite3'}",
        "FUEL_NETWORKS": json.dumps([network]),
        "BROKER_VISIBILITY_SECONDS": str(VISIBILITY_SECONDS),
        "LEASE_SECONDS": "3",
        "NODE_CALLS_PER_SECOND": "200",
        "FOLLOW_ENABLED": "false",
    }
    settings = _settings(environment)
    users = await _seed(settings, node)
    vaults = sorted({address for user in users for address in user.addresses})
    runtime = await Runtime.open(settings)
    storm = Storm(
        random=random.Random(seed),
        node=node,
        cache=cache,
        broker=broker,
        settings=settings,
        users=users,
        programs=programs(environment, directory),
        runtime=runtime,
        ledger=Ledger(dict.fromkeys(vaults, START)),
    )
    everything = list(storm.programs)
    try:
        storm.keep_alive()
        async with open_publisher(settings, seconds=3.0) as publisher:
            await _until_ready(storm)
            going = [asyncio.create_task(_go_on(storm, publisher)) for _ in range(2)]
            await _strike(storm, count)
            storm.over.set()
            await asyncio.gather(*going)
        problems = await _verdict(storm)
        _keep_logs(everything, problems)
        return Outcome(storm.events, storm.ledger.done, problems)
    finally:
        await runtime.close()
        for program in everything:
            program.kill()


def _keep_logs(everything: list[Program], problems: list[str]) -> None:
    """Print the end of each log when something is wrong: the directory is removed."""
    if problems:
        for program in everything:
            tail = program.log_path.read_text(errors="replace")[-6000:]
            sys.stderr.write(f"--- {program.name}\n{tail}\n")


async def _until_ready(storm: Storm) -> None:
    async with asyncio.timeout(60):
        while True:
            if all(program.logged("worker.ready") for program in storm.programs[:2]):
                return
            await asyncio.sleep(0.05)


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run a storm and say what it did."""
    parser = ArgumentParser(prog="tests.storms.kills")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    options = parser.parse_args()
    seed = random.randrange(2**31) if options.seed is None else options.seed
    _tell(f"kill storm on {options.broker}: {options.count} events, seed {seed}")
    begun = time.monotonic()
    try:
        outcome = asyncio.run(run(options.count, seed, options.broker))
    except BalanceCacheError as error:
        _tell(f"the storm did not run: {error}")
        return 1
    for title, counts in (("did", outcome.events), ("meanwhile", outcome.done)):
        _tell(f"{title}: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    for problem in outcome.problems:
        _tell(f"WRONG: {problem}")
    verdict = "not held" if outcome.problems else "held"
    _tell(f"{verdict} after {time.monotonic() - begun:.0f} s, seed {seed}")
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
