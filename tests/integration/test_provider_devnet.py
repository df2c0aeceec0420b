"""The provider against a chain that moves: payments, deposits, lagging nodes behind one address."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from devnet.chain import AccountBalance
from devnet.options import BASE_ASSET_ID, DevnetOptions
from devnet.server import DevnetServer
from domain.errors import NodeBehindError
from domain.networks import Network
from domain.values import Snapshot
from provider.node import NodeProvider
from provider.retries import RetryPolicy
from tests.fake_node import address, asset

ALICE, BOB = address(1), address(2)
FAST = RetryPolicy(base_seconds=0.01, behind_base_seconds=0.01)


@pytest.fixture
def server() -> Iterator[DevnetServer]:
    options = DevnetOptions(port=0, block_seconds=0, nodes=2, lags=(0, 30))
    with DevnetServer(options) as running:
        running.chain.set_balances(
            [AccountBalance(ALICE, BASE_ASSET_ID, 1000), AccountBalance(ALICE, asset(1), 10)]
        )
        running.chain.produce_blocks(40)
        yield running


@pytest.fixture
async def balanced(server: DevnetServer) -> AsyncIterator[NodeProvider]:
    """A provider that sees one address with both nodes behind it."""
    provider = NodeProvider(Network(0, "devnet", (server.url,)), timeout_seconds=5, retries=FAST)
    yield provider
    await provider.close()


@pytest.fixture
async def both(server: DevnetServer) -> AsyncIterator[NodeProvider]:
    """A provider that knows both nodes, the lagging one first."""
    urls = (server.node_url(1), server.node_url(0))
    provider = NodeProvider(Network(0, "devnet", urls), timeout_seconds=5, retries=FAST)
    yield provider
    await provider.close()


def held(answer: object) -> dict[str, int]:
    assert isinstance(answer, Snapshot), answer
    return {balance.asset_id: balance.amount for balance in answer.balances}


async def test_a_confirmed_payment_is_seen_by_its_height_behind_a_balancer(
    server: DevnetServer, balanced: NodeProvider
) -> None:
    server.chain.transfer(ALICE, BOB, asset(1), 4)
    height = server.chain.height
    for _ in range(4):
        answers = await balanced.fetch_many([ALICE, BOB], required_height=height)
        assert held(answers[ALICE]).get(asset(1)) == 6
        assert held(answers[BOB]) == {asset(1): 4}
        assert all(isinstance(a, Snapshot) and a.height >= height for a in answers.values())


async def test_balances_never_go_back_in_time_behind_a_balancer(
    server: DevnetServer, balanced: NodeProvider
) -> None:
    seen = 0
    for amount in range(1, 6):
        server.chain.transfer(ALICE, BOB, asset(1), 1)
        answer = (await balanced.fetch_many([BOB], required_height=server.chain.height))[BOB]
        assert held(answer) == {asset(1): amount}
        for _ in range(3):
            again = (await balanced.fetch_many([BOB]))[BOB]
            if isinstance(again, Snapshot):
                assert again.height_upper is not None
                assert again.height_upper >= seen
                assert held(again) == {asset(1): amount}
                seen = again.height_upper


async def test_the_lagging_node_is_left_for_the_fresh_one(
    server: DevnetServer, both: NodeProvider
) -> None:
    await both.verify()
    answer = (await both.fetch_many([ALICE]))[ALICE]
    assert isinstance(answer, Snapshot)
    assert answer.network_url == server.node_url(0)
    assert answer.height_upper == server.chain.height


async def test_a_node_a_few_blocks_behind_waits_until_it_has_the_height(
    server: DevnetServer, both: NodeProvider
) -> None:
    await both.verify()
    target = server.chain.height + 3
    fetching = asyncio.ensure_future(both.fetch_many([BOB], required_height=target))
    threading.Timer(0.1, pay, [server]).start()  # it is confirmed while the node waits
    answer = (await fetching)[BOB]
    assert held(answer) == {asset(1): 1}


def pay(server: DevnetServer) -> None:
    server.chain.transfer(ALICE, BOB, asset(1), 1)
    server.chain.produce_blocks(3)


async def test_a_height_that_no_node_reaches_is_an_error_not_an_old_balance(
    server: DevnetServer, both: NodeProvider
) -> None:
    answer = (await both.fetch_many([ALICE], required_height=server.chain.height + 500))[ALICE]
    assert isinstance(answer, NodeBehindError)


async def test_a_deposit_without_a_transaction_counts_and_a_message_with_data_does_not(
    server: DevnetServer, balanced: NodeProvider
) -> None:
    server.chain.deposit(BOB, 70)
    server.chain.deposit(BOB, 900, "0x01")
    server.chain.produce_blocks(1)
    answers = await balanced.fetch_many([BOB], required_height=server.chain.height)
    assert held(answers[BOB]) == {BASE_ASSET_ID: 70}


async def test_a_vault_that_spent_all_holds_nothing_although_the_node_still_lists_it(
    server: DevnetServer, balanced: NodeProvider
) -> None:
    server.chain.transfer(ALICE, BOB, asset(1), 10)
    answers = await balanced.fetch_many([ALICE], required_height=server.chain.height)
    assert asset(1) not in held(answers[ALICE])
