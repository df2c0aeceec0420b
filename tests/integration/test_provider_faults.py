"""The fault matrix: every fault of the simulator in every lane. No wrong balance, no hang."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from devnet.chain import AccountBalance
from devnet.faults import Fault, FaultKind
from devnet.options import BASE_ASSET_ID, DevnetOptions
from devnet.server import DevnetServer
from domain.errors import PermanentProviderError, ProviderError, TransientProviderError
from domain.networks import Network
from domain.values import Lane, Snapshot
from provider.node import NodeProvider
from tests.fake_node import FAST, address, asset

DEADLINE_SECONDS = 3.0
SHORT_DEADLINE_SECONDS = 0.4
"""For faults that use all of the time: less than the simulator's slowness of 1 s."""
OWNERS = [address(n) for n in range(1, 21)]
HELD = {owner: [(BASE_ASSET_ID, 7), (asset(1), n)] for n, owner in enumerate(OWNERS, start=1)}

FAULTS = [kind for kind in FaultKind if kind is not FaultKind.CUT_STREAM]

EXPECTED: dict[FaultKind, type[ProviderError] | None] = {
    FaultKind.RATE_LIMITED: TransientProviderError,
    FaultKind.TIMEOUT: TransientProviderError,
    FaultKind.SERVER_ERROR: TransientProviderError,
    FaultKind.RESET: TransientProviderError,
    FaultKind.TRUNCATED: TransientProviderError,
    FaultKind.CUT_JSON: TransientProviderError,
    FaultKind.NOT_JSON: TransientProviderError,
    FaultKind.WRONG_SHAPE: PermanentProviderError,
    FaultKind.GRAPHQL_ERROR: PermanentProviderError,
    FaultKind.SLOW: TransientProviderError,
    FaultKind.LAG: TransientProviderError,
    FaultKind.SWALLOWED_ERROR: TransientProviderError,
    FaultKind.WRONG_CHAIN_ID: None,  # the node was verified before it began to lie
}
"""The class of what a fault must become; None: right balances are right."""


@pytest.fixture(scope="module")
def server() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0)) as running:
        running.chain.set_balances(
            [AccountBalance(owner, a, amount) for owner, rows in HELD.items() for a, amount in rows]
        )
        yield running


@pytest.fixture
async def provider(server: DevnetServer) -> AsyncIterator[NodeProvider]:
    server.devnet.faults.clear()
    server.chain.produce_blocks(6)
    provider = NodeProvider(
        Network(0, "devnet", (server.url,)), timeout_seconds=DEADLINE_SECONDS, retries=FAST
    )
    yield provider
    server.devnet.faults.clear()
    await provider.close()


def check_right(answer: Snapshot) -> None:
    rows = [(balance.asset_id, balance.amount) for balance in answer.balances]
    assert rows == HELD[answer.address]


def test_every_fault_has_an_expected_class() -> None:
    assert set(EXPECTED) == set(FAULTS)


@pytest.mark.parametrize(("kind", "lane"), list(itertools.product(FAULTS, Lane)))
async def test_no_fault_in_any_lane_becomes_a_balance_or_a_hang(
    server: DevnetServer, provider: NodeProvider, kind: FaultKind, lane: Lane
) -> None:
    for answer in (await provider.fetch_many(OWNERS, lane=lane, deadline_seconds=5)).values():
        assert isinstance(answer, Snapshot)
    server.devnet.faults.add(Fault(kind))
    slow = kind in {FaultKind.SLOW, FaultKind.LAG}
    seconds = SHORT_DEADLINE_SECONDS if slow else DEADLINE_SECONDS
    async with asyncio.timeout(seconds + 1):
        answers = await provider.fetch_many(OWNERS, lane=lane, deadline_seconds=seconds)
    assert list(answers) == OWNERS
    for answer in answers.values():
        if isinstance(answer, Snapshot):
            assert EXPECTED[kind] is None
            check_right(answer)
        else:
            expected = EXPECTED[kind]
            assert expected is not None
            assert isinstance(answer, expected)


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_fault_that_strikes_once_is_survived_where_it_may_pass(
    server: DevnetServer, provider: NodeProvider, kind: FaultKind
) -> None:
    await provider.fetch_many(OWNERS, deadline_seconds=5)
    server.devnet.faults.add(Fault(kind, count=1))
    answers = await provider.fetch_many(OWNERS, lane=Lane.INVALIDATION, deadline_seconds=5)
    right = [answer for answer in answers.values() if isinstance(answer, Snapshot)]
    for answer in right:
        check_right(answer)
    assert len(right) == (0 if kind is FaultKind.WRONG_SHAPE else len(OWNERS))


async def test_faults_by_chance_never_give_a_wrong_balance(
    server: DevnetServer, provider: NodeProvider
) -> None:
    await provider.fetch_many(OWNERS, deadline_seconds=5)
    for kind in FAULTS:
        if kind is not FaultKind.SLOW:
            server.devnet.faults.add(Fault(kind, probability=0.08))
    right = 0
    for _ in range(25):
        async with asyncio.timeout(DEADLINE_SECONDS + 1):
            answers = await provider.fetch_many(OWNERS, deadline_seconds=0.5)
        for answer in answers.values():
            if isinstance(answer, Snapshot):
                check_right(answer)
                right += 1
    assert right > 0
