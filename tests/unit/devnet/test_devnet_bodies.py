from __future__ import annotations

import json
from typing import Any

import pytest

from devnet.bodies import HttpRefusalError, check_content_type, check_size, read_body


def refused(body: bytes) -> tuple[int, str]:
    with pytest.raises(HttpRefusalError) as caught:
        read_body(body)
    return caught.value.status, caught.value.text


def test_all_that_a_request_says_is_read() -> None:
    request = read_body(
        json.dumps(
            {
                "query": "{health}",
                "variables": {"a": 1},
                "operationName": "x",
                "extensions": {"required_fuel_block_height": 3},
            }
        ).encode()
    )
    assert (request.query, request.variables, request.operation_name) == (
        "{health}",
        {"a": 1},
        "x",
    )
    assert request.extensions == {"required_fuel_block_height": 3}


@pytest.mark.parametrize("body", [b"", b"{", b"query", b'{"query":"\xff"}', b"[" * 100_000])
def test_what_is_no_json_gets_400(body: bytes) -> None:
    status, text = refused(body)
    assert status == 400
    assert text.startswith("Failed to parse the request body as JSON: ")


@pytest.mark.parametrize(
    "value", [[], [{"query": "{health}"}], "{health}", 1, None, {"query": 1}, {"query": None}]
)
def test_json_of_other_types_gets_422(value: Any) -> None:
    status, text = refused(json.dumps(value).encode())
    assert status == 422
    assert text.startswith("Failed to deserialize the JSON body into the target type: ")


@pytest.mark.parametrize(
    ("name", "value"), [("variables", []), ("operationName", 1), ("extensions", "a")]
)
def test_entries_of_other_types_get_422_and_are_named(name: str, value: Any) -> None:
    status, text = refused(json.dumps({"query": "{health}", name: value}).encode())
    assert status == 422
    assert name in text


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_json_is_taken(content_type: str) -> None:
    check_content_type(content_type)


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/graphql"])
def test_everything_else_gets_415(content_type: str | None) -> None:
    with pytest.raises(HttpRefusalError) as caught:
        check_content_type(content_type)
    assert (caught.value.status, caught.value.text) == (
        415,
        "Expected request with `Content-Type: application/json`",
    )


def test_a_body_above_the_limit_gets_413() -> None:
    check_size(10, 10)
    with pytest.raises(HttpRefusalError) as caught:
        check_size(11, 10)
    assert caught.value.status == 413
    assert caught.value.text == "Failed to buffer the request body: length limit exceeded"
