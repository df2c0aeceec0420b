"""Deadlines, urgency, and who waits while the provider is closed."""

from __future__ import annotations

import asyncio

import pytest

from domain.errors import NodeUnreachableError
from domain.values import Lane, Snapshot
from provider.node import NodeProvider
from tests.fake_node import NETWORK, FakeNode, address, owners_of, rows, snapshots
from tests.provider_support import until


async def test_a_deadline_is_kept_by_a_node_that_hangs(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.pause_seconds = 60
    async with asyncio.timeout(1):
        answers = await provider.fetch_many([address(1)], deadline_seconds=0.1)
    assert isinstance(answers[address(1)], NodeUnreachableError)


async def test_a_node_that_hangs_once_leaves_time_for_another_attempt(
    node: FakeNode, provider: NodeProvider
) -> None:
    await provider.verify()
    node.pause_seconds = 60
    fetching = asyncio.ensure_future(provider.fetch_many([address(1)], deadline_seconds=1))
    await until(lambda: node.entered == 2)
    node.pause_seconds = 0
    assert isinstance((await fetching)[address(1)], Snapshot)


async def test_an_urgent_vault_rides_in_the_first_request_of_a_crowd(node: FakeNode) -> None:
    provider = NodeProvider(NETWORK, concurrency=1, transport=node.transport())
    await provider.verify()
    await asyncio.gather(
        provider.fetch_many([address(n) for n in range(150)], lane=Lane.REFRESH),
        provider.fetch_many([address(77_777)], lane=Lane.INVALIDATION),
        provider.fetch_many([address(n) for n in range(1000, 1100)], lane=Lane.WARMUP),
    )
    await provider.close()
    first, second = (owners_of(body) for body in node.requests)
    assert first[0] == address(77_777)
    assert set(first[1:101]) == {address(n) for n in range(1000, 1100)}
    assert len(first) + len(second) == 251


async def test_an_answer_without_end_is_not_read_to_its_end(
    node: FakeNode, provider: NodeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await provider.verify()
    monkeypatch.setattr("provider.transport.MAX_ANSWER_BYTES", 2_000)
    node.balances = {address(n): rows(3) for n in range(20)}
    answers = await provider.fetch_many([address(n) for n in range(20)])
    assert len(snapshots(answers)) == 20
    assert max(len(owners_of(body)) for body in node.requests[-5:]) < 10
    node.balances[address(1)] = rows(90)
    assert len((await provider.get_balances(address(1))).balances) == 90


async def test_simultaneous_single_wishes_share_a_request(
    node: FakeNode, provider: NodeProvider
) -> None:
    await asyncio.gather(
        *(provider.get_balances(address(n)) for n in range(50)),
        provider.fetch_many([address(n) for n in range(40, 60)], lane=Lane.WARMUP),
    )
    assert len(node.requests) == 1
    assert sorted(owners_of(node.requests[0])) == [address(n) for n in range(60)]


async def test_whoever_waits_while_the_provider_is_closed_is_told_at_once(node: FakeNode) -> None:
    provider = NodeProvider(NETWORK, timeout_seconds=60, transport=node.transport())
    await provider.verify()
    node.pause_seconds = 60
    under_way = asyncio.ensure_future(provider.fetch_many([address(1)]))
    await until(lambda: node.entered > 1)
    collected = asyncio.ensure_future(provider.fetch_many([address(2)]))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await provider.close()
        answers = {**await under_way, **await collected}
    assert list(answers) == [address(1), address(2)]
    assert all(isinstance(answer, NodeUnreachableError) for answer in answers.values())
