"""The law, end to end: readers, payments and invalidations at once, on real parts."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from cache.connection import connect
from cache.store import RedisBalanceCache
from devnet.chain import AccountBalance
from devnet.faults import Fault, FaultKind
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.networks import Network
from domain.values import Fresh, Lane, Missing, Stale
from provider.cached import CachedProvider
from provider.node import NodeProvider
from provider.retries import RetryPolicy
from supervisor.valkey import EmbeddedServer
from tests.cache_support import empty_client, redis_cache
from tests.fake_node import address, asset
from tests.provider_support import until

CHAIN = 0
PAYER = address(99)
VAULTS = [address(n) for n in range(1, 6)]
ROUNDS = 40
FAST = RetryPolicy(attempts=2, behind_attempts=3, base_seconds=0.001, behind_base_seconds=0.001)


@pytest.fixture
def server() -> Iterator[DevnetServer]:
    """Two nodes behind one address; one lags far behind."""
    options = DevnetOptions(port=0, block_seconds=0, nodes=2, lags=(0, 15))
    with DevnetServer(options) as running:
        running.chain.set_balances([AccountBalance(PAYER, asset(1), 10**6)])
        running.chain.produce_blocks(20)
        yield running


@pytest.fixture
async def caches(cache_server: EmbeddedServer) -> AsyncIterator[list[RedisBalanceCache]]:
    """Stores that share nothing but the server, as processes do."""
    await (await empty_client(cache_server)).aclose()
    clients = [connect(cache_server.url()) for _ in range(3)]
    caches = [redis_cache(client) for client in clients]
    yield caches
    for cache, client in zip(caches, clients, strict=True):
        await cache.aclose()
        await client.aclose()


class Story:
    """What was paid and declared, and what readers may still be told."""

    def __init__(self, server: DevnetServer, cache: RedisBalanceCache) -> None:
        self.server = server
        self.cache = cache
        self.paid = Counter[str]()
        self.declared = Counter[str]()
        self.seen = Counter[str]()
        self.over = False

    async def pay(self) -> None:
        """Pay vaults by turns, and declare each payment with its height."""
        chance = random.Random(1)
        for _ in range(ROUNDS):
            vault = chance.choice(VAULTS)
            self.server.chain.transfer(PAYER, vault, asset(1), 1)
            self.paid[vault] += 1
            height = self.server.chain.height
            await self.cache.invalidate([vault], CHAIN, height)
            self.declared[vault] = self.paid[vault]
            await asyncio.sleep(chance.random() * 0.03)
        self.over = True

    async def read(self, reader: CachedProvider) -> None:
        """Read all vaults again and again; nothing fresh may miss a declared payment."""
        while not self.over:
            declared = Counter(self.declared)
            served = await reader.read_many(VAULTS, wait_seconds=1)
            for vault, one in served.items():
                self.seen[type(one.answer).__name__] += 1
                if isinstance(one.answer, Fresh):
                    assert held(one.answer) >= declared[vault]
            await asyncio.sleep(0)

    async def refill(self, reader: CachedProvider) -> None:
        """Refill as tasks do."""
        while not self.over:
            await reader.refill(VAULTS, lane=Lane.INVALIDATION)
            await asyncio.sleep(0.01)


def held(answer: Fresh | Stale) -> int:
    return sum(balance.amount for balance in answer.stored.snapshot.balances)


@pytest.mark.parametrize("faults", [(), (FaultKind.RATE_LIMITED, FaultKind.RESET, FaultKind.LAG)])
async def test_no_reader_is_told_as_fresh_what_misses_a_declared_payment(
    server: DevnetServer, caches: list[RedisBalanceCache], faults: tuple[FaultKind, ...]
) -> None:
    network = Network(CHAIN, "devnet", (server.url,))
    providers = [NodeProvider(network, timeout_seconds=1, retries=FAST) for _ in caches]
    readers = [
        CachedProvider(network, provider, cache)
        for provider, cache in zip(providers, caches, strict=True)
    ]
    for provider in providers:
        await provider.verify()
    for kind in faults:
        server.devnet.faults.add(Fault(kind, probability=0.1))
    story = Story(server, caches[0])
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(story.pay())
        for reader in readers:
            group.create_task(story.read(reader))
        group.create_task(story.refill(readers[0]))
    server.devnet.faults.clear()
    assert story.seen[Fresh.__name__] > 0
    assert story.seen[Missing.__name__] < sum(story.seen.values())
    # When it is quiet again every vault is right, for everybody.
    for reader in readers:
        await until(partial(all_right, reader, story), seconds=20)
    for reader, provider in zip(readers, providers, strict=True):
        await reader.close()
        await provider.close()


async def all_right(reader: CachedProvider, story: Story) -> bool:
    served = await reader.read_many(VAULTS, wait_seconds=2)
    return all(
        isinstance(one.answer, Fresh) and held(one.answer) == story.paid[vault]
        for vault, one in served.items()
    )
