"""The budget that processes share, on a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from cache.budget import RedisCallBudget
from cache.connection import connect
from domain.budget import BudgetLimits
from domain.errors import BudgetExhaustedError, CacheUnavailableError
from domain.networks import Network
from domain.values import Lane, Snapshot
from provider.budget import LocalCallBudget, SharedOrLocalBudget
from provider.node import NodeProvider
from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer
from tests.cache_support import empty_client
from tests.fake_node import FakeNode, address

CHAIN = 0


@pytest.fixture
async def clients(cache_server: EmbeddedServer) -> AsyncIterator[list[Redis]]:
    """Clients that share nothing but the server, as processes do."""
    await (await empty_client(cache_server)).aclose()
    clients = [connect(cache_server.url()) for _ in range(4)]
    yield clients
    for client in clients:
        await client.aclose()


async def take(budget: RedisCallBudget, lane: Lane, chain_id: int = CHAIN) -> bool:
    try:
        async with budget.call(chain_id, lane, timeout_seconds=0):
            return True
    except BudgetExhaustedError:
        return False


async def test_processes_share_one_rate(clients: list[Redis]) -> None:
    limits = BudgetLimits(calls_per_second=50, burst=5, under_way=1000)
    budgets = [RedisCallBudget(client, limits) for client in clients]
    begun, calls = time.monotonic(), 0

    async def work(budget: RedisCallBudget) -> None:
        nonlocal calls
        while time.monotonic() - begun < 1:
            async with budget.call(CHAIN, Lane.INVALIDATION, timeout_seconds=5):
                calls += 1

    await asyncio.gather(*(work(budget) for budget in budgets))
    seconds = time.monotonic() - begun
    assert calls <= 5 + 50 * seconds + 1
    assert calls >= 25, "the budget is there to be used, on a busy machine too"


async def test_low_lanes_leave_room_for_urgent_ones_and_chains_do_not_meet(
    clients: list[Redis],
) -> None:
    # One call in 1,000 s: nothing comes back while the test runs.
    limits = BudgetLimits(calls_per_second=0.001, burst=10, under_way=1000)
    storm, urgent = (RedisCallBudget(client, limits) for client in clients[:2])
    taken = 0
    while await take(storm, Lane.WARMUP):
        taken += 1
    assert taken == 5
    assert await take(urgent, Lane.INVALIDATION)
    assert await take(urgent, Lane.READ)
    assert not await take(storm, Lane.REFRESH)
    assert await take(storm, Lane.REFRESH, chain_id=9889)


async def test_calls_under_way_are_counted_over_all_processes_and_given_back(
    clients: list[Redis],
) -> None:
    limits = BudgetLimits(calls_per_second=1000, burst=1000, under_way=2)
    one, other = (RedisCallBudget(client, limits) for client in clients[:2])
    async with (
        one.call(CHAIN, Lane.INVALIDATION, timeout_seconds=0),
        other.call(CHAIN, Lane.INVALIDATION, timeout_seconds=0),
    ):
        assert not await take(other, Lane.INVALIDATION)
    assert await take(other, Lane.INVALIDATION)


async def test_a_process_that_dies_gives_its_place_back(clients: list[Redis]) -> None:
    limits = BudgetLimits(calls_per_second=1000, burst=1000, under_way=1)
    budget = RedisCallBudget(clients[0], limits)
    dead_since = int(time.time() * 1000) - 1
    await clients[0].zadd(f"bc:budget:{{{CHAIN}}}:calls", {"dead": dead_since})
    assert await take(budget, Lane.READ)


async def test_every_key_of_the_budget_has_a_life(clients: list[Redis]) -> None:
    budget = RedisCallBudget(clients[0], BudgetLimits(10, burst=10, under_way=10))
    async with budget.call(CHAIN, Lane.READ, timeout_seconds=0):
        keys = [key async for key in clients[1].scan_iter("bc:budget:*")]
        assert len(keys) == 2
        for key in keys:
            assert 0 < await clients[1].pttl(key) <= 30_000


async def test_a_damaged_key_does_not_stop_the_calls(clients: list[Redis]) -> None:
    await clients[0].lpush(f"bc:budget:{{{CHAIN}}}:rate", "x")
    await clients[0].set(f"bc:budget:{{{CHAIN}}}:calls", "x")
    assert await take(RedisCallBudget(clients[0], BudgetLimits(10, 10, 10)), Lane.READ)


async def test_while_redis_is_away_the_node_is_asked_within_the_local_share() -> None:
    client = connect(f"redis://127.0.0.1:{free_port()}/0")
    shared = RedisCallBudget(client, BudgetLimits(0.001, burst=8, under_way=8))
    with pytest.raises(CacheUnavailableError):
        await take(shared, Lane.READ)
    node = FakeNode()
    local = LocalCallBudget(BudgetLimits(0.001, burst=8, under_way=8).share(0.25))
    provider = NodeProvider(
        Network(CHAIN, "test", ("http://node.test/",)),
        timeout_seconds=2,
        budget=SharedOrLocalBudget(shared, local),
        transport=node.transport(),
    )
    answers = [
        (await provider.fetch_many([address(1)], lane=Lane.INVALIDATION))[address(1)]
        for _ in range(4)
    ]
    await provider.close()
    await client.aclose()
    assert [type(answer) for answer in answers] == [Snapshot, Snapshot] + [BudgetExhaustedError] * 2
