"""Reading answers: any JSON in, right balances or a typed error out, never a guess.

The shapes of answers and errors are those of fuel-core 0.47.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from domain.errors import (
    InvalidValueError,
    MalformedAnswerError,
    NodeBehindError,
    QueryRefusedError,
    QueryTooComplexError,
)
from domain.values import (
    Balance,
    BlockHeight,
    check_block_height,
    check_chain_id,
    parse_amount,
    parse_asset_id,
)

_TOO_COMPLEX = ("Query is too complex", "Query is nested too deep")
_HEIGHT_WAIT_FAILED = "Failed to wait for the required fuel block height"
_MESSAGE_LENGTH = 300


class AliasRefusedError(QueryRefusedError):
    """A resolver failed, and the node names the alias: the other aliases are not to blame."""

    def __init__(self, message: str, alias: str) -> None:
        super().__init__(message)
        self.alias = alias


@dataclass(frozen=True, slots=True)
class Envelope:
    """An answer without errors.

    Attributes:
        data: what was asked for, unchecked.
        height: the node's height after it answered; None: the node names none (before 0.42).
    """

    data: Mapping[str, Any]
    height: BlockHeight | None


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """One page of balances, zero amounts included."""

    balances: tuple[Balance, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class NodeProfile:
    """What a node says about itself."""

    chain_id: int
    base_asset_id: str
    indexation: bool
    version: str


def open_envelope(document: object, required_height: BlockHeight = 0) -> Envelope:
    """Return the data of an answer.

    Raises:
        NodeBehindError: the node has not reached the required height, or shows no proof that
            it has.
        QueryRefusedError: the node answered with an error (`AliasRefusedError` and
            `QueryTooComplexError` where it says so).
        MalformedAnswerError: no answer of a GraphQL server.
    """
    if not isinstance(document, dict):
        raise MalformedAnswerError("the answer is not a JSON object")
    extensions = document.get("extensions") or {}
    if not isinstance(extensions, dict):
        raise MalformedAnswerError("the answer's extensions are not an object")
    height = _height(extensions.get("current_fuel_block_height"))
    if document.get("errors"):
        _raise_refusal(document["errors"], extensions, required_height, height)
    data = document.get("data")
    if not isinstance(data, dict):
        raise MalformedAnswerError("the answer has neither data nor errors")
    # A node that names no height proves nothing, and may have ignored what we required.
    if required_height > 0 and (height is None or height < required_height):
        raise NodeBehindError(required_height, height)
    return Envelope(data, height)


def _height(value: object) -> BlockHeight | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise MalformedAnswerError("the node's height is not a number")
    try:
        return check_block_height(value)
    except InvalidValueError as error:
        raise MalformedAnswerError(str(error)) from error


def _raise_refusal(
    errors: object,
    extensions: Mapping[str, Any],
    required_height: BlockHeight,
    height: BlockHeight | None,
) -> NoReturn:
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict) or not isinstance(first.get("message"), str):
        raise MalformedAnswerError("the answer's errors are not a list of messages")
    message: str = first["message"]
    if _below_required(extensions) or _below_required(first.get("extensions")):
        raise NodeBehindError(required_height, height)
    if message.startswith(_HEIGHT_WAIT_FAILED):
        raise NodeBehindError(required_height, height)
    shown = f"the node refused the query: {message[:_MESSAGE_LENGTH]}"
    if message.startswith(_TOO_COMPLEX):
        raise QueryTooComplexError(shown)
    path = first.get("path")
    if isinstance(path, list) and path and isinstance(path[0], str):
        raise AliasRefusedError(shown, path[0])
    raise QueryRefusedError(shown)


def _below_required(extensions: object) -> bool:
    """Tell whether the node says so; it does twice, beside the data and within the error."""
    if not isinstance(extensions, dict):
        return False
    return extensions.get("fuel_block_height_precondition_failed") is True


def read_page(data: Mapping[str, Any], alias: str, first: int) -> PageAnswer:
    """Return the page that an answer holds under this alias.

    Raises:
        MalformedAnswerError: the alias is missing, or anything under it is not what the schema
            promises: wrong types, no u128, an asset twice, more rows than asked for.
    """
    connection = _member(data, alias, dict)
    rows = _member(connection, "nodes", list)
    if len(rows) > first:
        raise MalformedAnswerError(f"{len(rows)} balances on a page of {first}")
    balances = tuple(_read_balance(row) for row in rows)
    if len({balance.asset_id for balance in balances}) != len(balances):
        raise MalformedAnswerError("one asset stands twice on a page")
    page_info = _member(connection, "pageInfo", dict)
    if not _member(page_info, "hasNextPage", bool):
        return PageAnswer(balances, None)
    if not balances:
        raise MalformedAnswerError("an empty page that promises another")
    return PageAnswer(balances, _cursor(page_info))


def _cursor(page_info: Mapping[str, Any]) -> str:
    try:
        return parse_asset_id(_member(page_info, "endCursor", str))
    except InvalidValueError as error:
        raise MalformedAnswerError(f"wrong cursor: {error}") from error


def _read_balance(row: object) -> Balance:
    if not isinstance(row, dict):
        raise MalformedAnswerError("a balance is not an object")
    try:
        asset_id = parse_asset_id(_member(row, "assetId", str))
        return Balance(asset_id, parse_amount(_member(row, "amountU128", str)))
    except InvalidValueError as error:
        raise MalformedAnswerError(str(error)) from error


def _member(container: Mapping[str, Any], name: str, kind: type) -> Any:
    value = container.get(name)
    if not isinstance(value, kind):
        raise MalformedAnswerError(f"{name!r} is missing or no {kind.__name__}")
    return value


def read_profile(data: Mapping[str, Any]) -> NodeProfile:
    """Return what a node says about itself.

    Raises:
        MalformedAnswerError: the answer is not what the schema promises.
    """
    parameters = _member(_member(data, "chain", dict), "consensusParameters", dict)
    node = _member(data, "nodeInfo", dict)
    try:
        return NodeProfile(
            chain_id=check_chain_id(parse_amount(_member(parameters, "chainId", str))),
            base_asset_id=parse_asset_id(_member(parameters, "baseAssetId", str)),
            indexation=_member(_member(node, "indexation", dict), "balances", bool),
            version=_member(node, "nodeVersion", str),
        )
    except InvalidValueError as error:
        raise MalformedAnswerError(str(error)) from error
