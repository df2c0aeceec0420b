"""What a node refuses is asked for in smaller requests, and fails alone."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from domain.errors import InvalidAddressError, QueryRefusedError, QueryTooComplexError
from provider.node import NodeProvider
from tests.fake_node import FakeNode, address, owners_of, pages_of, rows, snapshots


async def test_a_smaller_limit_is_learnt_and_remembered(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.complexity = 10_000
    addresses = [address(n) for n in range(100)]
    snapshots(await provider.fetch_many(addresses))
    refused = len(node.requests)
    node.requests.clear()
    snapshots(await provider.fetch_many(addresses))
    assert len(node.requests) < refused
    assert all(sum(page[2] for page in pages_of(body)) * 3.96 < 10_000 for body in node.requests)


async def test_a_node_that_finds_everything_too_complex_is_not_asked_for_ever(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.complexity = 1
    answers = await provider.fetch_many([address(n) for n in range(200)])
    assert all(isinstance(answer, QueryTooComplexError) for answer in answers.values())
    assert len(node.requests) < 30


async def test_without_an_index_each_vault_has_its_own_request(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.indexation = False
    node.balances[address(1)] = rows(300)
    answers = snapshots(await provider.fetch_many([address(1), address(2)]))
    assert sorted(len(owners_of(body)) for body in node.requests) == [1, 1]
    assert len(answers[address(1)].balances) == 300


async def test_one_vault_that_the_node_cannot_resolve_fails_alone(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.refused_owners = frozenset({address(3)})
    answers = await provider.fetch_many([address(n) for n in range(1, 101)])
    assert isinstance(
        answers.pop(address(3)) if isinstance(answers, dict) else None, QueryRefusedError
    )
    assert len(snapshots(answers)) == 99
    assert len(node.requests) == 2


async def test_a_refusal_that_names_nobody_is_bisected(
    node: FakeNode, provider: NodeProvider
) -> None:
    def refuse(body: dict[str, Any]) -> httpx.Response | None:
        if body["operationName"] == "Balances" and address(77) in owners_of(body):
            return httpx.Response(200, json={"data": None, "errors": [{"message": "no"}]})
        return None

    node.fault = refuse
    answers = dict(await provider.fetch_many([address(n) for n in range(200)]))
    assert isinstance(answers.pop(address(77)), QueryRefusedError)
    assert len(snapshots(answers)) == 199


async def test_a_node_that_refuses_everything_costs_few_requests(
    node: FakeNode, provider: NodeProvider
) -> None:
    def refuse(body: dict[str, Any]) -> httpx.Response | None:
        if body["operationName"] == "Balances":
            return httpx.Response(200, json={"data": None, "errors": [{"message": "no"}]})
        return None

    node.fault = refuse
    answers = await provider.fetch_many([address(n) for n in range(200)])
    assert all(isinstance(answer, QueryRefusedError) for answer in answers.values())
    assert len(node.requests) <= 40


async def test_an_address_that_a_node_would_pad_is_never_sent(
    node: FakeNode, provider: NodeProvider
) -> None:
    with pytest.raises(InvalidAddressError):
        await provider.fetch_many(["0x01"])
    with pytest.raises(InvalidAddressError):
        await provider.fetch_many(["0x" + "AA" * 32])
    assert node.requests == []
