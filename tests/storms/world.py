"""What goes on in a kill storm, and all that happens to it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from config.settings import Settings
from devnet.options import BASE_ASSET_ID
from devnet.server import DevnetServer
from domain.errors import PublishingError
from domain.values import Address
from registry.seed import SeededUser
from runtime.assembly import Runtime
from tasks.names import INVALIDATE, Queue
from tasks.publisher import CeleryPublisher
from tests.broker_support import PrivateRedis, Server
from tests.storms.parts import Program

CHAIN_ID = 9889


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
            await publisher.warm_user(user.user_id)
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
        servers = [self.cache.process.pid, self.broker.process.pid]
        process_id = self.random.choice([*mains, *children, *servers])
        # RabbitMQ itself is a child of the program that was started.
        send = os.killpg if process_id in servers else os.kill
        with suppress(ProcessLookupError):
            send(process_id, signal.SIGSTOP)
            await asyncio.sleep(self.random.uniform(0.3, 1.5))
            send(process_id, signal.SIGCONT)

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
