"""The schema answers what the TypeScript SDK asks (captured from fuels 0.103)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from graphql import parse, print_schema, validate

from devnet.execution import GraphqlRequest
from devnet.options import DevnetOptions
from devnet.schema import served_schema
from devnet.state import Devnet

OPERATIONS: dict[str, Any] = json.loads(
    Path(__file__).with_name("sdk_operations.json").read_text("utf-8")
)
QUERIES = [name for name in OPERATIONS if not name.startswith(("statusChange", "submit"))]


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_of_the_sdk_is_valid(name: str) -> None:
    assert validate(served_schema(), parse(OPERATIONS[name]["query"])) == []


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("indexation", [True, False])
def test_every_query_of_the_sdk_is_answered_without_an_error(name: str, indexation: bool) -> None:
    devnet = Devnet(DevnetOptions(indexation=indexation))
    devnet.chain.transfer(None, "0x" + "aa" * 32, "0x" + "01" * 32, 5)
    operation = OPERATIONS[name]
    request = GraphqlRequest(operation["query"], operation["variables"], name)
    answer = devnet.executor.execute(request, devnet.nodes.next().view())
    assert "errors" not in answer
    assert answer["data"]


def test_numbers_of_the_consensus_parameters_are_decimal_strings() -> None:
    devnet = Devnet()
    operation = OPERATIONS["getChainAndNodeInfo"]
    request = GraphqlRequest(operation["query"])
    answer = devnet.executor.execute(request, devnet.nodes.next().view())
    parameters = answer["data"]["chain"]["consensusParameters"]
    numbers = [
        value
        for group in parameters.values()
        if isinstance(group, dict)
        for name, value in group.items()
        if name != "version" and not isinstance(value, dict)
    ]
    assert len(numbers) > 15
    assert all(isinstance(number, str) and number.isdecimal() for number in numbers)


def test_the_resolvers_change_nothing_of_the_schema() -> None:
    text = print_schema(served_schema())
    assert "amountU128: U128!" in text
    assert "scalar Tai64Timestamp" in text
    assert "rows_before_swallowed_error" not in text
