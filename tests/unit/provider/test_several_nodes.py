"""Failover, choice by height, breaker, hedging and budget with more than one node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from domain.budget import BudgetLimits
from domain.errors import (
    BudgetExhaustedError,
    NodeOverloadedError,
    NodeUnreachableError,
    ProviderError,
    WrongChainError,
)
from domain.networks import Network
from domain.values import Snapshot
from provider.budget import LocalCallBudget
from provider.node import NodeProvider
from provider.retries import RetryPolicy
from tests.fake_node import FakeNode, address, asset
from tests.provider_support import until

NETWORK = Network(0, "test", ("http://a.test/", "http://b.test/"))
FAST = RetryPolicy(base_seconds=0.001, behind_base_seconds=0.001)


class Two(httpx.AsyncBaseTransport):
    """Two nodes behind two names."""

    def __init__(self) -> None:
        self.a, self.b = FakeNode(), FakeNode()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        node = {"a.test": self.a, "b.test": self.b}[request.url.host]
        return await node.handle(request)


@pytest.fixture
def nodes() -> Two:
    return Two()


@pytest.fixture
async def make(nodes: Two) -> AsyncIterator[Callable[..., NodeProvider]]:
    made: list[NodeProvider] = []

    def build(**options: Any) -> NodeProvider:
        options = {"timeout_seconds": 2, "retries": FAST, "window_seconds": 0, **options}
        provider = NodeProvider(NETWORK, transport=nodes, **options)
        made.append(provider)
        return provider

    yield build
    for provider in made:
        await provider.close()


def busy(_: object) -> httpx.Response:
    return httpx.Response(429, html="<html>")


async def test_the_preferred_node_is_asked_while_it_is_well(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = make()
    for _ in range(3):
        await provider.get_balances(address(1))
    assert (len(nodes.a.requests), len(nodes.b.requests)) == (3, 0)


@pytest.mark.parametrize(
    "fault",
    [
        busy,
        lambda _: httpx.Response(403, html="denied"),
        lambda _: httpx.Response(200, json=[]),
        lambda _: httpx.Response(200, text="{"),
    ],
)
async def test_another_node_is_asked_at_once_when_one_fails(
    nodes: Two, make: Callable[..., NodeProvider], fault: Callable[[object], httpx.Response]
) -> None:
    provider = make()
    await provider.verify()
    nodes.a.fault = fault
    nodes.b.balances[address(1)] = [(asset(1), 9)]
    snapshot = await provider.get_balances(address(1))
    assert snapshot.balances[0].amount == 9
    assert snapshot.network_url == "http://b.test/"
    assert (len(nodes.a.requests), len(nodes.b.requests)) == (1, 1)


async def test_a_node_of_another_chain_is_passed_over_and_named(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    nodes.a.chain_id = 9889
    provider = make()
    with pytest.raises(WrongChainError, match=r"a\.test"):
        await provider.verify()
    assert (await provider.get_balances(address(1))).network_url == "http://b.test/"
    assert nodes.a.requests == []


async def test_the_fresher_node_is_preferred_to_one_that_lags(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    nodes.a.height, nodes.b.height = 100, 130
    provider = make()
    await provider.verify()
    snapshot = await provider.get_balances(address(1))
    assert snapshot.height_upper == 130
    nodes.a.height = 130
    await provider.verify()
    assert (await provider.get_balances(address(1))).network_url == "http://a.test/"


async def test_a_height_that_one_node_lacks_is_asked_of_the_other(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = make()
    await provider.verify()
    nodes.b.height = 101
    answer = (await provider.fetch_many([address(1)], required_height=101))[address(1)]
    assert isinstance(answer, Snapshot)
    assert answer.height == 101


async def test_a_node_that_keeps_failing_rests_and_costs_nothing(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = make()
    await provider.verify()
    nodes.a.fault = busy
    for _ in range(20):
        await provider.get_balances(address(1))
    assert len(nodes.a.requests) == 5
    assert len(nodes.b.requests) == 20


async def test_when_all_nodes_rest_the_answer_is_an_error_at_once(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = make()
    await provider.verify()
    nodes.a.fault = nodes.b.fault = busy
    for _ in range(10):
        answer = (await provider.fetch_many([address(1)]))[address(1)]
    assert isinstance(answer, NodeUnreachableError)
    assert len(nodes.a.requests) + len(nodes.b.requests) <= 12


async def test_a_node_that_comes_back_is_verified_before_it_is_believed(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = make()
    await provider.verify()
    nodes.a.fault = busy
    for _ in range(5):
        await provider.get_balances(address(1))
    nodes.a.fault, nodes.a.chain_id = None, 9889
    asked = len(nodes.a.requests)
    nodes.b.fault = busy
    await until(lambda: _refused(provider), 5)
    assert len(nodes.a.requests) == asked


async def _refused(provider: NodeProvider) -> bool:
    answer = (await provider.fetch_many([address(1)]))[address(1)]
    assert isinstance(answer, ProviderError)
    return isinstance(answer, WrongChainError)


async def test_a_node_that_nobody_asks_is_probed(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = make()
    await provider.get_balances(address(1))
    await until(lambda: nodes.b.profiles == 1)
    assert nodes.b.requests == []


async def test_a_slow_answer_is_hedged_and_the_first_answer_counts(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = make(hedge_quantile=0.5)
    await provider.verify()
    for _ in range(20):
        await provider.get_balances(address(1))
    nodes.a.pause_seconds = 60
    async with asyncio.timeout(1):
        snapshot = await provider.get_balances(address(1))
    assert snapshot.network_url == "http://b.test/"


async def test_a_hedge_that_fails_leaves_the_first_answer(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = make(hedge_quantile=0.5)
    await provider.verify()
    for _ in range(20):
        await provider.get_balances(address(1))
    nodes.b.requests.clear()
    nodes.a.pause_seconds, nodes.b.fault = 0.1, busy
    assert (await provider.get_balances(address(1))).network_url == "http://a.test/"
    assert len(nodes.b.requests) == 1


async def test_nothing_is_hedged_unless_somebody_wishes_it(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = make()
    await provider.verify()
    for _ in range(21):
        await provider.get_balances(address(1))
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


async def test_verify_tolerates_a_node_that_is_down_while_another_answers(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = make()
    nodes.a.fault = busy
    await provider.verify()
    nodes.b.fault = busy
    with pytest.raises(NodeOverloadedError):
        await provider.verify()
