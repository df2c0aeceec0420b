"""What every node provider promises, over the simulator and over a node in a few lines."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from devnet.chain import AccountBalance
from devnet.options import BASE_ASSET_ID, DevnetOptions, Limits
from devnet.server import DevnetServer
from domain.errors import NodeBehindError, NodeUnreachableError, WrongChainError
from domain.networks import Network
from domain.ports import BalanceProvider
from domain.values import Balance, Snapshot
from provider.node import NodeProvider
from provider.retries import RetryPolicy
from tests.fake_node import FakeNode, address, asset

FAST = RetryPolicy(base_seconds=0.001, behind_base_seconds=0.001, behind_attempts=3)


@dataclass
class Chain:
    """A chain behind a provider, whoever plays it."""

    provider: NodeProvider
    hold: Callable[[str, list[tuple[str, int]]], None]
    requests: Callable[[], int]
    height: Callable[[], int]


Make = Callable[..., Chain]


def simulated(server: DevnetServer, network: Network, **options: Any) -> tuple[Chain, NodeProvider]:
    provider = NodeProvider(network, timeout_seconds=5, retries=FAST, **options)

    def hold(owner: str, rows: list[tuple[str, int]]) -> None:
        server.chain.set_balances([AccountBalance(owner, a, amount) for a, amount in rows])

    def requests() -> int:
        return sum(record.operation == "Balances" for record in server.devnet.log.records())

    return Chain(provider, hold, requests, lambda: server.chain.height), provider


def faked(node: FakeNode, network: Network) -> tuple[Chain, NodeProvider]:
    provider = NodeProvider(network, timeout_seconds=5, retries=FAST, transport=node.transport())
    return (
        Chain(
            provider,
            node.balances.__setitem__,
            lambda: len(node.requests),
            lambda: node.height or 0,
        ),
        provider,
    )


@pytest.fixture(params=["simulator", "mock"])
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def build(
            *, indexation: bool = True, complexity: int = 80_000, configured: int = 0
        ) -> Chain:
            if request.param == "mock":
                network = Network(configured, "test", ("http://node.test/v1/graphql",))
                node = FakeNode(indexation=indexation, complexity=complexity)
                chain, provider = faked(node, network)
            else:
                limits = Limits(complexity=complexity)
                options = DevnetOptions(
                    port=0, block_seconds=0, indexation=indexation, limits=limits
                )
                server = stack.enter_context(DevnetServer(options))
                server.chain.produce_blocks(50)
                chain, provider = simulated(server, Network(configured, "test", (server.url,)))
            stack.push_async_callback(provider.close)
            return chain

        yield build


async def rows_of(chain: Chain, owner: str) -> list[tuple[str, int]]:
    answer = (await chain.provider.fetch_many([owner]))[owner]
    assert isinstance(answer, Snapshot), answer
    return [(balance.asset_id, balance.amount) for balance in answer.balances]


def test_it_is_a_balance_provider() -> None:
    typed: type[BalanceProvider] = NodeProvider
    assert typed is NodeProvider


async def test_amounts_beyond_a_u64_are_exact_and_unknown_owners_hold_nothing(make: Make) -> None:
    chain = make()
    chain.hold(address(1), [(BASE_ASSET_ID, 3), (asset(1), 2**64 + 5), (asset(2), 2**64 - 1)])
    assert await rows_of(chain, address(1)) == [
        (BASE_ASSET_ID, 3),
        (asset(1), 2**64 + 5),
        (asset(2), 2**64 - 1),
    ]
    assert await rows_of(chain, address(2)) == []


async def test_many_vaults_are_one_request(make: Make) -> None:
    chain = make()
    owners = [address(n) for n in range(1, 201)]
    for number, owner in enumerate(owners, start=1):
        chain.hold(owner, [(asset(1), number)])
    answers = await chain.provider.fetch_many(owners)
    assert chain.requests() == 1
    for number, owner in enumerate(owners, start=1):
        answer = answers[owner]
        assert isinstance(answer, Snapshot)
        assert answer.balances == (Balance(asset(1), number),)


@pytest.mark.parametrize("count", [100, 101, 250])
async def test_no_vault_is_cut(make: Make, count: int) -> None:
    chain = make()
    held = [(asset(n), n) for n in range(1, count + 1)]
    chain.hold(address(1), held)
    assert await rows_of(chain, address(1)) == held


async def test_no_vault_is_cut_where_only_cursors_lead_on(make: Make) -> None:
    chain = make(complexity=500)
    held = [(asset(n), n) for n in range(1, 251)]
    chain.hold(address(1), held)
    assert await rows_of(chain, address(1)) == held


async def test_without_an_index_vaults_are_asked_for_one_by_one(make: Make) -> None:
    chain = make(indexation=False)
    held = [(asset(n), n) for n in range(1, 131)]
    chain.hold(address(1), held)
    chain.hold(address(2), [(asset(1), 1)])
    answers = await chain.provider.fetch_many([address(1), address(2)])
    sizes = [len(a.balances) for a in answers.values() if isinstance(a, Snapshot)]
    assert sizes == [130, 1]
    assert chain.requests() == 2


async def test_a_smaller_limit_is_met_and_remembered(make: Make) -> None:
    chain = make(complexity=8_000)
    owners = [address(n) for n in range(100)]
    for _ in range(2):
        before = chain.requests()
        answers = await chain.provider.fetch_many(owners)
        assert all(isinstance(answer, Snapshot) for answer in answers.values())
    assert chain.requests() - before <= 10


async def test_heights_bound_every_snapshot(make: Make) -> None:
    chain = make()
    required = chain.height() - 3
    answer = (await chain.provider.fetch_many([address(1)], required_height=required))[address(1)]
    assert isinstance(answer, Snapshot)
    assert (answer.height, answer.height_upper) == (required, chain.height())


async def test_a_height_far_ahead_is_refused_and_gives_no_balance(make: Make) -> None:
    chain = make()
    required = chain.height() + 1000
    answer = (await chain.provider.fetch_many([address(1)], required_height=required))[address(1)]
    assert isinstance(answer, NodeBehindError)
    assert answer.current == chain.height()


async def test_another_chain_is_refused_before_any_balance_is_asked_for(make: Make) -> None:
    chain = make(configured=9889)
    with pytest.raises(WrongChainError):
        await chain.provider.verify()
    answer = (await chain.provider.fetch_many([address(1)]))[address(1)]
    assert isinstance(answer, WrongChainError)
    assert chain.requests() == 0


@pytest.fixture(scope="module")
def server() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0)) as running:
        yield running


async def test_credentials_in_the_address_of_a_real_server_stay_out_of_what_is_said(
    server: DevnetServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.url.replace("http://", "http://alice:s3cret@")
    provider = NodeProvider(Network(0, "test", (url,)), timeout_seconds=5)
    snapshot = await provider.get_balances(address(1))
    await provider.close()
    assert snapshot.network_url == server.url
    assert "s3cret" not in repr(provider.network) + caplog.text


async def test_gzip_is_asked_for_and_understood() -> None:
    node, encodings = FakeNode(), []
    node.balances[address(1)] = [(asset(1), 2**64 + 5)]

    async def compressed(request: httpx.Request) -> httpx.Response:
        encodings.append(request.headers["accept-encoding"])
        plain = await node.handle(request)
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        return httpx.Response(
            plain.status_code, headers=headers, content=gzip.compress(plain.content)
        )

    network = Network(0, "test", ("http://node.test/v1/graphql",))
    provider = NodeProvider(network, transport=httpx.MockTransport(compressed))
    try:
        answer = (await provider.fetch_many([address(1)]))[address(1)]
    finally:
        await provider.close()

    assert isinstance(answer, Snapshot), answer
    assert answer.balances == (Balance(asset(1), 2**64 + 5),)
    assert encodings
    assert all("gzip" in encoding for encoding in encodings)


async def test_what_is_called_gzip_and_is_none_is_an_error() -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Plain())

    network = Network(0, "test", ("http://node.test/v1/graphql",))
    provider = NodeProvider(network, retries=FAST, transport=httpx.MockTransport(broken))
    try:
        answer = (await provider.fetch_many([address(1)]))[address(1)]
    finally:
        await provider.close()

    assert isinstance(answer, NodeUnreachableError)


class Plain(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"data": {}}'
