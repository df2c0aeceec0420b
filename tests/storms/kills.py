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
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from config.settings import Settings
from devnet.chain import AccountBalance
from devnet.options import BASE_ASSET_ID, DevnetOptions
from devnet.server import DevnetServer
from domain.errors import BalanceCacheError
from registry.seed import SeededUser, seed_user
from registry.store import Registry
from runtime.assembly import Runtime
from tasks.publisher import CeleryPublisher, open_publisher
from tests.broker_support import PrivateRedis, Server
from tests.rabbitmq_support import PrivateRabbit
from tests.storms.parts import MARK, Program, marked, programs
from tests.storms.verdict import verdict
from tests.storms.world import CHAIN_ID, KINDS, Ledger, Storm

START = 1_000_000
USERS = 3
VISIBILITY_SECONDS = 8


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
        problems = await verdict(storm)
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
