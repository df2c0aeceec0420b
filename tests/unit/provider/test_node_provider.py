from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import hpack
import httpx
import pytest

from domain.errors import (
    InvalidAddressError,
    MalformedAnswerError,
    NodeBehindError,
    NodeOverloadedError,
    NodeUnreachableError,
    QueryRefusedError,
    QueryTooComplexError,
    WrongChainError,
)
from domain.networks import Network
from domain.values import Balance, Lane, Snapshot
from provider.node import NodeProvider
from provider.retries import RetryPolicy
from tests.fake_node import FakeNode, address, asset, owners_of, pages_of
from tests.provider_support import until

NETWORK = Network(0, "testnet", ("http://user:secret@node.test/v1/graphql",))
FAST = RetryPolicy(base_seconds=0.001, behind_base_seconds=0.001)


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
async def provider(node: FakeNode) -> AsyncIterator[NodeProvider]:
    provider = NodeProvider(
        NETWORK, timeout_seconds=2, concurrency=10, retries=FAST, transport=node.transport()
    )
    yield provider
    await provider.close()


def rows(count: int) -> list[tuple[str, int]]:
    return [(asset(number), number) for number in range(1, count + 1)]


async def test_ten_vaults_are_one_request(node: FakeNode, provider: NodeProvider) -> None:
    node.balances = {address(n): [(asset(1), n)] for n in range(10)}
    answers = await provider.fetch_many([address(n) for n in range(10)])
    assert len(node.requests) == 1
    for number in range(1, 10):
        answer = answers[address(number)]
        assert isinstance(answer, Snapshot)
        assert answer.balances == (Balance(asset(1), number),)


async def test_two_thousand_vaults_are_ten_requests_and_each_is_asked_once(
    node: FakeNode, provider: NodeProvider
) -> None:
    addresses = [address(n) for n in range(2000)]
    answers = await provider.fetch_many(addresses)
    assert list(answers) == addresses
    assert len(node.requests) == 10
    asked = [owner for body in node.requests for owner in owners_of(body)]
    assert sorted(asked) == addresses


async def test_zero_rows_are_left_out_and_the_order_of_the_node_is_kept(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.balances[address(1)] = [(asset(9), 2**100), (asset(1), 0), (asset(2), 5)]
    snapshot = await provider.get_balances(address(1))
    assert snapshot.balances == (Balance(asset(9), 2**100), Balance(asset(2), 5))


async def test_a_vault_that_holds_nothing_is_an_answer(provider: NodeProvider) -> None:
    assert (await provider.get_balances(address(7))).balances == ()


@pytest.mark.parametrize("count", [99, 100, 101, 1000, 1001, 19_999])
async def test_no_vault_is_cut_however_many_assets_it_has(
    node: FakeNode, provider: NodeProvider, count: int
) -> None:
    node.balances[address(1)] = rows(count)
    snapshot = await provider.get_balances(address(1))
    assert len(snapshot.balances) == count


async def test_a_wide_vault_beside_narrow_ones_is_asked_for_alone_again(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.balances = {address(1): rows(150), address(2): rows(3)}
    answers = await provider.fetch_many([address(1), address(2)])
    assert [owners_of(body) for body in node.requests] == [
        [address(1), address(2)],
        [address(1)],
    ]
    assert {key: len(answer.balances) for key, answer in snapshots(answers).items()} == {
        address(1): 150,
        address(2): 3,
    }


def snapshots(answers: Any) -> dict[str, Snapshot]:
    assert all(isinstance(answer, Snapshot) for answer in answers.values())
    return dict(answers)


async def test_cursors_are_followed_where_the_node_allows_no_wider_page(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.complexity = 400
    node.balances[address(1)] = rows(250)
    snapshot = await provider.get_balances(address(1))
    assert [balance.amount for balance in snapshot.balances] == list(range(1, 251))
    afters = [after for body in node.requests for _, _, _, after in pages_of(body)]
    assert any(after is not None for after in afters)


async def test_pages_of_a_moving_chain_are_believed_when_two_passes_agree(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.complexity, node.blocks_per_request = 400, 1
    node.balances[address(1)] = rows(250)
    snapshot = await provider.get_balances(address(1))
    assert [balance.amount for balance in snapshot.balances] == list(range(1, 251))
    pages = [page for body in node.requests for page in pages_of(body)]
    starts = [page for page in pages if page[3] is None and page[2] == pages[-1][2]]
    assert len(starts) == 2
    assert snapshot.height_upper == node.height
    assert snapshot.height < (node.height or 0)


async def test_a_vault_that_changes_between_its_pages_is_never_put_together(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.complexity, node.blocks_per_request = 400, 1
    node.balances[address(1)] = rows(250)
    moves = iter(range(1_000_000))

    def pay(_: dict[str, Any]) -> None:
        node.balances[address(1)] = [(a, amount + next(moves)) for a, amount in rows(250)]

    node.fault = pay
    answer: object = (await provider.fetch_many([address(1)]))[address(1)]
    assert isinstance(answer, Exception)
    assert "kept changing" in str(answer)


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


async def test_the_required_height_is_sent_and_becomes_the_lower_bound(
    node: FakeNode, provider: NodeProvider
) -> None:
    answers = snapshots(await provider.fetch_many([address(1)], required_height=90))
    assert node.requests[0]["extensions"] == {"required_fuel_block_height": 90}
    assert (answers[address(1)].height, answers[address(1)].height_upper) == (90, 100)


async def test_what_one_answer_has_shown_is_required_of_the_next(
    node: FakeNode, provider: NodeProvider
) -> None:
    await provider.get_balances(address(1))
    await provider.get_balances(address(1))
    assert node.requests[1]["extensions"] == {"required_fuel_block_height": 100}


async def test_a_node_that_is_behind_gives_a_typed_error_and_no_balance(
    node: FakeNode, provider: NodeProvider
) -> None:
    answer = (await provider.fetch_many([address(1)], required_height=101))[address(1)]
    assert isinstance(answer, NodeBehindError)
    assert (answer.required, answer.current) == (101, 100)
    assert 1 < len(node.requests) <= FAST.behind_attempts


async def test_a_node_that_ignores_the_required_height_is_not_believed(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.height = None
    assert (await provider.get_balances(address(1))).height_upper is None
    answer = (await provider.fetch_many([address(1)], required_height=5))[address(1)]
    assert isinstance(answer, NodeBehindError)


async def test_a_node_of_another_chain_is_refused(node: FakeNode, provider: NodeProvider) -> None:
    node.chain_id = 9889
    with pytest.raises(WrongChainError) as refused:
        await provider.verify()
    assert (refused.value.expected, refused.value.reported) == (0, 9889)
    answer = (await provider.fetch_many([address(1)]))[address(1)]
    assert isinstance(answer, WrongChainError)
    assert node.requests == []


@pytest.mark.parametrize(
    ("response", "expected", "attempts"),
    [
        (httpx.Response(429, html="<html>Access denied</html>"), NodeOverloadedError, 3),
        (httpx.Response(408), NodeOverloadedError, 3),
        (httpx.Response(502, text="bad gateway"), NodeOverloadedError, 3),
        (httpx.Response(413, text="length limit exceeded"), QueryTooComplexError, 4),
        (httpx.Response(422, text="Failed to deserialize"), QueryRefusedError, 1),
        (httpx.Response(401), QueryRefusedError, 1),
        (httpx.Response(302, headers={"location": "http://evil.test"}), QueryRefusedError, 1),
        (httpx.Response(200, text='{"data": {"v0": {"no'), NodeUnreachableError, 3),
        (httpx.Response(200, html="<html>"), NodeUnreachableError, 3),
        (httpx.Response(200, content=b""), NodeUnreachableError, 3),
        (httpx.Response(200, content=b"\xff\xfe"), NodeUnreachableError, 3),
        (httpx.Response(200, json=[]), MalformedAnswerError, 1),
        (httpx.Response(200, json={"data": {}}), MalformedAnswerError, 1),
        (httpx.Response(200, json={"data": None}), MalformedAnswerError, 1),
    ],
)
async def test_no_fault_is_ever_read_as_a_balance(
    node: FakeNode,
    provider: NodeProvider,
    response: httpx.Response,
    expected: type[Exception],
    attempts: int,
) -> None:
    await provider.verify()
    node.fault = lambda _: httpx.Response(
        response.status_code, headers=response.headers, content=response.content
    )
    answer = (await provider.fetch_many([address(1)]))[address(1)]
    assert type(answer) is expected or isinstance(answer, expected)
    assert len(node.requests) == attempts
    assert "secret" not in repr(answer)


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


async def test_connection_errors_show_no_credentials() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"cannot reach {request.url} {request.headers}")

    provider = NodeProvider(NETWORK, retries=FAST, transport=httpx.MockTransport(refuse))
    answer = (await provider.fetch_many([address(1)]))[address(1)]
    await provider.close()
    assert isinstance(answer, NodeUnreachableError)
    assert "node.test" in str(answer)
    assert "secret" not in str(answer)
    assert answer.__cause__ is None


async def test_credentials_go_into_a_header() -> None:
    node = FakeNode()
    seen = []

    async def look(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return await node.handle(request)

    provider = NodeProvider(NETWORK, transport=httpx.MockTransport(look))
    await provider.get_balances(address(1))
    await provider.close()
    assert all("secret" not in str(request.url) for request in seen)
    assert all(request.headers["authorization"].startswith("Basic ") for request in seen)


async def test_no_library_logs_the_header_with_the_credentials(
    provider: NodeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hpack.Encoder().encode([("authorization", "Basic czNjcmV0")])  # what HTTP/2 does with it
    await provider.get_balances(address(1))
    assert "czNjcmV0" not in caplog.text


async def test_simultaneous_single_wishes_share_a_request(
    node: FakeNode, provider: NodeProvider
) -> None:
    await asyncio.gather(
        *(provider.get_balances(address(n)) for n in range(50)),
        provider.fetch_many([address(n) for n in range(40, 60)], lane=Lane.WARMUP),
    )
    assert len(node.requests) == 1
    assert sorted(owners_of(node.requests[0])) == [address(n) for n in range(60)]


async def test_an_address_that_a_node_would_pad_is_never_sent(
    node: FakeNode, provider: NodeProvider
) -> None:
    with pytest.raises(InvalidAddressError):
        await provider.fetch_many(["0x01"])
    with pytest.raises(InvalidAddressError):
        await provider.fetch_many(["0x" + "AA" * 32])
    assert node.requests == []


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
