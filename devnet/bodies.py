"""Bodies of GraphQL requests, and the refusals that are no GraphQL answers.

Whatever is wrong before GraphQL begins is answered as text, with the node's status and words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from devnet.execution import GraphqlRequest

_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "query": ((str,), "a string"),
    "operationName": ((str, type(None)), "a string"),
    "variables": ((dict, type(None)), "a map"),
    "extensions": ((dict,), "a map"),
}


class HttpRefusalError(Exception):
    """A request that gets a text instead of a GraphQL answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def check_content_type(content_type: str | None) -> None:
    """Check that the body calls itself JSON.

    Raises:
        HttpRefusalError: 415.
    """
    media_type = (content_type or "").partition(";")[0].strip().lower()
    kind, _, subtype = media_type.partition("/")
    if kind != "application" or not (subtype == "json" or subtype.endswith("+json")):
        raise HttpRefusalError(415, "Expected request with `Content-Type: application/json`")


def check_size(size: int, most: int) -> None:
    """Check the size of a body.

    Raises:
        HttpRefusalError: 413.
    """
    if size > most:
        raise HttpRefusalError(413, "Failed to buffer the request body: length limit exceeded")


def read_body(body: bytes) -> GraphqlRequest:
    """Return the request in a body.

    Raises:
        HttpRefusalError: 400 when it is not JSON, 422 when it is JSON of other types.
    """
    try:
        value = json.loads(body)
    except json.JSONDecodeError as error:
        where = f"{error.msg} at line {error.lineno} column {error.colno}"
        raise HttpRefusalError(400, f"Failed to parse the request body as JSON: {where}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        text = f"Failed to parse the request body as JSON: {error}"
        raise HttpRefusalError(400, text) from error
    if not isinstance(value, dict):
        raise _mistyped(f"invalid type: {_kind(value)}, expected struct Request")
    _check_types(value)
    return GraphqlRequest(
        query=value.get("query", ""),
        variables=value.get("variables") or {},
        operation_name=value.get("operationName"),
        extensions=value.get("extensions"),
    )


def _check_types(value: Mapping[str, Any]) -> None:
    for name, (types, expected) in _TYPES.items():
        if name in value and not isinstance(value[name], types):
            raise _mistyped(f"{name}: invalid type: {_kind(value[name])}, expected {expected}")


def _mistyped(what: str) -> HttpRefusalError:
    prefix = "Failed to deserialize the JSON body into the target type: "
    return HttpRefusalError(422, prefix + what)


def _kind(value: object) -> str:
    names = {list: "sequence", dict: "map", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
