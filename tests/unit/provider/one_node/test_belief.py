"""What is believed of a node: its chain and its height, and no fault as a balance."""

from __future__ import annotations

import httpx
import pytest

from domain.errors import (
    MalformedAnswerError,
    NodeBehindError,
    NodeOverloadedError,
    NodeUnreachableError,
    QueryRefusedError,
    QueryTooComplexError,
    WrongChainError,
)
from provider.node import NodeProvider
from tests.fake_node import FAST, FakeNode, address, snapshots


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
