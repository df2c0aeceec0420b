"""What the cache's tests share: short lives, snapshots, waiting on a condition."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from cache.connection import connect
from cache.store import RedisBalanceCache
from domain.ports import BalanceCache, Lease, PublishOutcome
from domain.refreshing import RefreshRules
from domain.values import Address, Balance, BlockHeight, ChainId, Fresh, Snapshot
from supervisor.valkey import EmbeddedServer

MAINNET = 9889
TESTNET = 0
URL = "https://mainnet.fuel.network/v1/graphql"


def address(number: int) -> Address:
    return f"0x{number:064x}"


def asset(number: int) -> str:
    return f"0x{number + 0xA55E7:064x}"


ALICE, BOB = address(1), address(2)

REFRESH_RULES = RefreshRules(
    fresh_seconds=600,
    soft_seconds=480,
    batch_size=2,
    calls_per_minute=60,
    interval_seconds=10,
    ahead_seconds=60,
)


def snapshot(
    who: Address,
    amount: int = 1,
    *,
    height: BlockHeight = 0,
    height_upper: BlockHeight | None = None,
    chain_id: ChainId = MAINNET,
) -> Snapshot:
    balances = (Balance(asset(1), amount),) if amount else ()
    return Snapshot(who, chain_id, balances, height, height_upper, URL)


class ManualClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def __call__(self) -> float:
        return self.seconds

    def step(self, seconds: float = 0.01) -> None:
        self.seconds += seconds


@dataclass
class Harness:
    """One implementation under test, and how time passes for it."""

    cache: BalanceCache
    pass_time: Callable[[], None]

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
        """Wait until the condition holds; fail at the deadline."""
        async with asyncio.timeout(seconds):
            while not await condition():
                self.pass_time()
                await asyncio.sleep(0.01)

    async def lease(self, who: Address, chain_id: ChainId = MAINNET) -> Lease:
        answer = (await self.cache.acquire(chain_id, [who]))[who]
        assert isinstance(answer, Lease)
        return answer

    async def put(self, told: Snapshot) -> None:
        lease = await self.lease(told.address, told.chain_id)
        outcome = await self.cache.publish([(lease, told)])
        assert outcome[told.address] is PublishOutcome.PUBLISHED

    async def read(self, who: Address, chain_id: ChainId = MAINNET) -> Any:
        """Read one; what only looks for work must have seen the same, before and after.

        Time alone takes freshness away and never gives it: so neither order needs a still clock,
        but nobody may publish meanwhile (`read_once` is for that).
        """
        wanted_before = await self.cache.not_fresh(chain_id, [who])
        answer = await self.read_once(who, chain_id)
        wanted_after = await self.cache.not_fresh(chain_id, [who])
        if isinstance(answer, Fresh):
            assert wanted_before == ()
        else:
            assert wanted_after == (who,)
        return answer

    async def read_once(self, who: Address, chain_id: ChainId = MAINNET) -> Any:
        """Read one, for a test to which the commands of a read matter."""
        return (await self.cache.read(chain_id, [who]))[who]

    async def is_fresh(self, who: Address, chain_id: ChainId = MAINNET) -> bool:
        return isinstance(await self.read(who, chain_id), Fresh)


Make = Callable[..., Harness]
"""What makes a cache under test, with the lives that it is given."""


@contextmanager
def hung(server: EmbeddedServer) -> Iterator[None]:
    """Stop the server as a whole: the kernel takes connections in, and nobody answers."""
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


async def empty_client(server: EmbeddedServer) -> Redis:
    """Return a client on an empty database of a private server."""
    client = connect(server.url())
    await client.flushdb()
    return client


def redis_cache(client: Redis, **changes: Any) -> RedisBalanceCache:
    """A store on two networks whose lives are exact."""
    return RedisBalanceCache(client, **{"chain_ids": (MAINNET, TESTNET), "jitter": 0, **changes})


MakeCache = Callable[..., RedisBalanceCache]
"""What makes stores as `redis_cache` does; they are closed when the test is over."""

StartServer = Callable[..., EmbeddedServer]
"""What starts servers that a test may hurt; they are stopped when the test is over."""
