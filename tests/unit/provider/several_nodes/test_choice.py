"""Which node is asked: the preferred, the fresher, another when one fails."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from domain.errors import QueryRefusedError, WrongChainError
from domain.values import Snapshot
from provider.node import NodeProvider
from tests.fake_node import address, asset
from tests.two_nodes import Two, busy


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
