"""Any JSON in: a typed error or right balances out."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import MalformedAnswerError, NodeBehindError, ProviderError
from domain.networks import Network
from domain.values import MAX_AMOUNT, Snapshot
from provider.answers import open_envelope, read_page, read_profile
from provider.node import NodeProvider
from provider.retries import RetryPolicy
from tests.fake_node import FakeNode, address, asset

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
rows = st.lists(
    st.tuples(st.integers(0, 2**256 - 1).map(asset), st.integers(0, MAX_AMOUNT)),
    max_size=20,
    unique_by=lambda row: row[0],
)


def page(held: list[tuple[str, int]]) -> dict[str, Any]:
    nodes = [{"assetId": asset_id, "amountU128": str(amount)} for asset_id, amount in held]
    return {"nodes": nodes, "pageInfo": {"hasNextPage": False, "endCursor": None}}


@settings(deadline=None)
@given(anything)
def test_any_document_is_an_envelope_or_a_typed_error(document: object) -> None:
    try:
        envelope = open_envelope(document)
    except ProviderError:
        return
    assert isinstance(document, dict)
    assert envelope.data is document["data"]
    assert not document.get("errors")


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["v0", "v1", "chain", "nodeInfo"]), anything))
def test_any_data_is_a_page_or_a_typed_error(data: dict[str, Any]) -> None:
    with pytest.raises(MalformedAnswerError):
        read_page(data, "v0", 100)
    with pytest.raises(MalformedAnswerError):
        read_profile(data)


@settings(deadline=None)
@given(rows)
def test_a_right_page_is_read_exactly(held: list[tuple[str, int]]) -> None:
    answer = read_page({"v0": page(held)}, "v0", 100)
    assert [(balance.asset_id, balance.amount) for balance in answer.balances] == held
    assert answer.next_cursor is None


@pytest.mark.parametrize("place", ["beside the data", "in the error", "both"])
def test_a_node_that_is_behind_is_understood_wherever_it_says_so(place: str) -> None:
    flag = {"fuel_block_height_precondition_failed": True, "current_fuel_block_height": 41}
    error: dict[str, Any] = {"message": "The required fuel block height is higher"}
    document: dict[str, Any] = {"data": None, "errors": [error]}
    if place != "beside the data":
        error["extensions"] = flag
    if place != "in the error":
        document["extensions"] = flag
    with pytest.raises(NodeBehindError):
        open_envelope(document, 100)


PATHS = [
    ("nodes",),
    ("pageInfo",),
    ("pageInfo", "hasNextPage"),
    ("nodes", 0),
    ("nodes", 0, "assetId"),
    ("nodes", 0, "amountU128"),
]


@settings(deadline=None)
@given(rows.filter(bool), st.sampled_from(PATHS), anything)
def test_a_page_with_one_wrong_part_is_right_or_refused(
    held: list[tuple[str, int]], path: tuple[Any, ...], wrong: object
) -> None:
    broken: Any = {"v0": page(held)}
    place = broken["v0"]
    for step in path[:-1]:
        place = place[step]
    right = place[path[-1]]
    place[path[-1]] = wrong
    try:
        answer = read_page(broken, "v0", 100)
    except MalformedAnswerError:
        return
    read = [(balance.asset_id, balance.amount) for balance in answer.balances]
    # What is accepted is what stands there, to the letter.
    assert read == [
        (row["assetId"].lower(), int(row["amountU128"])) for row in broken["v0"]["nodes"]
    ]
    assert type(wrong) is type(right)


@pytest.mark.parametrize(
    "amount",
    [
        "-1",
        "+1",
        "1.0",
        "1e3",
        "0x10",
        " 1",
        "1 ",
        "",
        "01",
        "१",
        str(MAX_AMOUNT + 1),
        1,
        None,
        "NaN",
    ],
)
def test_an_amount_that_is_no_u128_is_refused(amount: object) -> None:
    broken = page([(asset(1), 1)])
    broken["nodes"][0]["amountU128"] = amount
    with pytest.raises(MalformedAnswerError):
        read_page({"v0": broken}, "v0", 100)


def test_an_asset_that_stands_twice_is_refused() -> None:
    with pytest.raises(MalformedAnswerError, match="twice"):
        read_page({"v0": page([(asset(1), 1), (asset(1), 1)])}, "v0", 100)


def test_more_rows_than_were_asked_for_are_refused() -> None:
    with pytest.raises(MalformedAnswerError, match="on a page of 1"):
        read_page({"v0": page([(asset(1), 1), (asset(2), 1)])}, "v0", 1)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
async def test_whatever_a_node_sends_nobody_is_told_a_balance(content: bytes) -> None:
    node = FakeNode()
    retries = RetryPolicy(attempts=1, behind_attempts=1)
    provider = NodeProvider(
        Network(0, "test", ("http://node.test/",)),
        timeout_seconds=2,
        window_seconds=0,
        retries=retries,
        transport=node.transport(),
    )
    await provider.verify()
    node.fault = lambda _: httpx.Response(200, content=content)
    answer = (await provider.fetch_many([address(1)]))[address(1)]
    await provider.close()
    assert isinstance(answer, ProviderError)
    assert not isinstance(answer, Snapshot)
