"""A node that fails or asks for a pause rests, and is verified before it is believed again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest

from domain.errors import NodeOverloadedError, NodeUnreachableError, ProviderError, WrongChainError
from provider.node import NodeProvider
from provider.retries import RetryPolicy
from tests.fake_node import address
from tests.provider_support import until
from tests.two_nodes import Two, busy


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


async def test_verify_tolerates_a_node_that_is_down_while_another_answers(
    nodes: Two, make: Callable[..., NodeProvider]
) -> None:
    provider = make()
    nodes.a.fault = busy
    await provider.verify()
    nodes.b.fault = busy
    with pytest.raises(NodeOverloadedError):
        await provider.verify()


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
