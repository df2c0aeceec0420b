"""Failover, choice by height, breaker, hedging and budget with more than one node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from domain.budget import BudgetLimits
from domain.errors import (
    BudgetExhaustedError,
    NodeOverloadedError,
    NodeUnreachableError,
    ProviderError,
    QueryRefusedError,
    WrongChainError,
)
from domain.networks import Network
from domain.values import Lane, Snapshot
from provider.budget import LocalCallBudget, UnlimitedCallBudget
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


async def test_a_probe_that_hangs_holds_nobody_up(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = make(timeout_seconds=30)
    await provider.verify()
    nodes.a.pause_seconds = 60
    entered = nodes.a.entered
    probe = asyncio.ensure_future(provider.verify())
    await until(lambda: nodes.a.entered > entered)
    nodes.a.pause_seconds = 0
    async with asyncio.timeout(5):
        assert (await provider.get_balances(address(1))).network_url == "http://a.test/"
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)


async def test_what_one_node_lists_wrongly_for_one_vault_is_asked_of_another(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    held = [(asset(1), 1), (asset(2), 2)]
    nodes.a.balances = {address(1): list(held), address(2): list(held)}
    nodes.b.balances = {address(1): list(held), address(2): list(held)}
    provider = make()
    await provider.fetch_many([address(1), address(2)])
    nodes.a.balances[address(1)] = held[:1]  # a storage error ended the list
    nodes.a.requests.clear()
    answers = await provider.fetch_many([address(1), address(2)])
    urls = [a.network_url for a in answers.values() if isinstance(a, Snapshot)]
    assert urls == ["http://b.test/", "http://a.test/"]
    assert (len(nodes.a.requests), len(nodes.b.requests)) == (1, 1)


async def test_a_vault_at_which_one_nodes_resolver_fails_is_asked_of_another(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    nodes.a.refused_owners = frozenset({address(2)})
    provider = make()
    answers = await provider.fetch_many([address(n) for n in range(1, 5)])
    urls = [a.network_url for a in answers.values() if isinstance(a, Snapshot)]
    assert urls == ["http://a.test/", "http://b.test/", "http://a.test/", "http://a.test/"]


async def test_a_vault_that_every_node_refuses_fails_alone(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    nodes.a.refused_owners = nodes.b.refused_owners = frozenset({address(2)})
    provider = make()
    answers = await provider.fetch_many([address(n) for n in range(1, 5)])
    failed = [owner for owner, answer in answers.items() if not isinstance(answer, Snapshot)]
    assert failed == [address(2)]
    assert isinstance(answers[address(2)], QueryRefusedError)


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


async def test_a_node_that_asks_for_a_pause_is_left_alone_while_another_serves(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = make()
    await provider.verify()
    nodes.a.fault = lambda _: httpx.Response(429, headers={"retry-after": "30"})
    for _ in range(3):
        assert (await provider.get_balances(address(1))).network_url == "http://b.test/"
    assert len(nodes.a.requests) == 1


async def test_when_every_node_asks_for_a_pause_the_answer_says_so_at_once(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = make(timeout_seconds=20)
    await provider.verify()
    nodes.a.fault = nodes.b.fault = lambda _: httpx.Response(503, headers={"retry-after": "30"})
    async with asyncio.timeout(10):
        answer = (await provider.fetch_many([address(1)]))[address(1)]
    assert isinstance(answer, NodeOverloadedError)
    assert answer.retry_after_seconds == 30
    assert (len(nodes.a.requests), len(nodes.b.requests)) == (1, 1)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("1", 1),
        (" 7 ", 7),
        ("86400", 30),
        ("9" * 5000, 30),
        ("-1", 0),
        ("1.5", 0),
        ("Fri, 31 Dec 2100 23:59:59 GMT", 0),
        ("", 0),
    ],
)
async def test_a_wish_for_a_pause_is_read_within_reason(
    nodes: Two, make: Callable[..., NodeProvider], header: str, seconds: float
) -> None:
    provider = make(retries=RetryPolicy(attempts=1))
    await provider.verify()
    nodes.a.fault = nodes.b.fault = lambda _: httpx.Response(429, headers={"retry-after": header})
    answer = (await provider.fetch_many([address(1)]))[address(1)]
    assert isinstance(answer, NodeOverloadedError)
    assert answer.retry_after_seconds == seconds
