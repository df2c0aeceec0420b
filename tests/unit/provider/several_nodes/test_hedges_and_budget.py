"""A slow answer is hedged; waiting for our own budget is no slowness of a node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from domain.budget import BudgetLimits
from domain.errors import BudgetExhaustedError
from domain.values import Lane, Snapshot
from provider.budget import LocalCallBudget, UnlimitedCallBudget
from provider.node import NodeProvider
from tests.fake_node import address
from tests.two_nodes import Two, busy


async def known(provider: NodeProvider, *, answers: int) -> NodeProvider:
    """Return it when it knows how long its nodes take: a hedge needs so many answers before."""
    await provider.verify()
    for _ in range(answers):
        await provider.get_balances(address(1))
    return provider


async def test_a_slow_answer_is_hedged_and_the_first_answer_counts(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = await known(make(hedge_quantile=0.5), answers=20)
    nodes.a.pause_seconds = 60
    async with asyncio.timeout(1):
        snapshot = await provider.get_balances(address(1))
    assert snapshot.network_url == "http://b.test/"


async def test_a_hedge_that_fails_leaves_the_first_answer(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = await known(make(hedge_quantile=0.5), answers=20)
    nodes.b.requests.clear()
    nodes.a.pause_seconds, nodes.b.fault = 0.1, busy
    assert (await provider.get_balances(address(1))).network_url == "http://a.test/"
    assert len(nodes.b.requests) == 1


async def test_nothing_is_hedged_unless_somebody_wishes_it(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = await known(make(), answers=21)
    nodes.a.pause_seconds = 0.05
    await provider.get_balances(address(1))
    assert nodes.b.requests == []


async def test_an_empty_budget_is_a_typed_error_and_the_node_is_not_blamed(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    budget = LocalCallBudget(BudgetLimits(calls_per_second=0.01, burst=1, under_way=10))
    provider = make(budget=budget)
    assert isinstance(await provider.get_balances(address(1)), Snapshot)
    for _ in range(10):
        answer = (await provider.fetch_many([address(1)]))[address(1)]
        assert isinstance(answer, BudgetExhaustedError)
    assert (len(nodes.a.requests), len(nodes.b.requests)) == (1, 0)
    assert (await make().get_balances(address(1))).network_url == "http://a.test/"


async def test_a_node_that_hangs_from_the_start_leaves_every_request_time_for_another(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    nodes.a.pause_seconds = 60
    provider = make(timeout_seconds=2)
    # Different heights, so that each is a request of its own.
    answers = await asyncio.gather(
        *(provider.fetch_many([address(1)], required_height=height) for height in range(3))
    )
    for answer in answers:
        assert isinstance(answer[address(1)], Snapshot)


class SlowAtFirst(UnlimitedCallBudget):
    """A budget whose next call, when it is told to, waits longer than any node takes."""

    pause_seconds = 0.0

    @asynccontextmanager
    async def call(
        self, chain_id: int, lane: Lane, *, timeout_seconds: float
    ) -> AsyncIterator[None]:
        pause, self.pause_seconds = self.pause_seconds, 0.0
        await asyncio.sleep(pause)
        async with super().call(chain_id, lane, timeout_seconds=timeout_seconds):
            yield


async def test_waiting_for_our_own_budget_is_no_slowness_of_the_node(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    budget = SlowAtFirst()
    provider = make(hedge_quantile=0.5, concurrency=20, timeout_seconds=20, budget=budget)
    await provider.verify()
    nodes.a.pause_seconds = 0.2
    await asyncio.gather(
        *(provider.fetch_many([address(1)], required_height=height) for height in range(20))
    )
    nodes.a.pause_seconds = 0
    nodes.b.requests.clear()
    budget.pause_seconds = 1.0
    assert (await provider.get_balances(address(1))).network_url == "http://a.test/"
    assert nodes.b.requests == []


async def test_time_spent_in_our_own_budget_leaves_time_for_another_node(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    budget = SlowAtFirst()
    provider = make(timeout_seconds=4, budget=budget)
    await provider.verify()
    nodes.a.pause_seconds = 60
    budget.pause_seconds = 2.5
    assert (await provider.get_balances(address(1))).network_url == "http://b.test/"
