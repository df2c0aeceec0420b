"""Reading what a node tells about blocks: whole and in order, or a typed error.

Whose balances a transaction changes is the rule of fuel-core's executor: the owners of spent
coins, the recipients of spent messages, and whoever an output with an amount pays. A failed
transaction changes fewer of them, never others. A mint pays a contract.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from domain.blocks import BlockDigest, BlockMark, ChainNews
from domain.errors import InvalidValueError, MalformedAnswerError
from domain.values import (
    Address,
    BlockHeight,
    check_block_height,
    parse_address,
    parse_amount,
    parse_asset_id,
)

NO_EVENTS = "0x" + hashlib.sha256(b"").hexdigest()
"""The Merkle root of nothing. fuel-core's executor hashes every event that L1 sent with a block
into its `eventInboxRoot`, and nothing else."""

_OWNER_FIELDS = {"InputCoin": "owner", "InputMessage": "recipient"}
_PAYING = frozenset({"CoinOutput", "ChangeOutput", "VariableOutput"})


def read_start(data: Mapping[str, Any]) -> tuple[BlockMark, BlockMark | None]:
    """Return the newest block and the one after the first; None where there is one block alone.

    The first block of a chain follows from its configuration, so that a chain which was begun
    anew has the same one. The second holds a time.

    Raises:
        MalformedAnswerError: the answer is not what the schema promises.
    """
    marks = [_mark(node) for node in _list(_object(data, "blocks"), "nodes")]
    return _tip(data), marks[1] if len(marks) > 1 else None


def read_mark(data: Mapping[str, Any]) -> BlockMark | None:
    """Return the block that was asked for; None: the node has none of that height.

    Raises:
        MalformedAnswerError: the answer is not what the schema promises.
    """
    return None if data.get("block") is None else _mark(data["block"])


def read_news(data: Mapping[str, Any], cursor: BlockHeight, first: int) -> ChainNews:
    """Return the news for a follower who stands at the cursor.

    Raises:
        MalformedAnswerError: the answer is not what the schema promises, or a block or one of
            its transactions is missing in between.
    """
    blocks = tuple(_digest(node) for node in _list(_object(data, "blocks"), "nodes"))
    heights = [block.mark.height for block in blocks]
    if len(blocks) > first or heights != list(range(cursor + 1, cursor + 1 + len(blocks))):
        raise MalformedAnswerError(f"the blocks after {cursor} have the heights {heights[:20]}")
    return ChainNews(_tip(data), _id_of(data, "cursor"), _id_of(data, "origin"), blocks)


def read_amounts(data: Mapping[str, Any], owners: Sequence[Address]) -> dict[Address, int]:
    """Return the amount of each owner, in the order asked.

    Raises:
        MalformedAnswerError: one is missing or no amount.
    """
    try:
        return {
            owner: parse_amount(_text(_object(data, f"v{place}"), "amountU128"))
            for place, owner in enumerate(owners)
        }
    except InvalidValueError as error:
        raise MalformedAnswerError(str(error)) from error


def _digest(node: object) -> BlockDigest:
    mark = _mark(node)
    block: Mapping[str, Any] = node if isinstance(node, dict) else {}
    header, transactions = _object(block, "header"), _list(block, "transactions")
    if _number(header, "transactionsCount") != len(transactions):
        raise MalformedAnswerError(f"block {mark.height} has not all of its transactions")
    owners = frozenset(owner for each in transactions for owner in _owners(each))
    return BlockDigest(mark, owners, _text(header, "eventInboxRoot").lower() != NO_EVENTS)


def _owners(transaction: object) -> list[Address]:
    if not isinstance(transaction, dict) or not isinstance(transaction.get("isMint"), bool):
        raise MalformedAnswerError("a transaction is not what the schema promises")
    if transaction["isMint"]:
        return []
    spent = [each for each in _entries(transaction, "inputs") if _kind(each) in _OWNER_FIELDS]
    paid = [each for each in _entries(transaction, "outputs") if _kind(each) in _PAYING]
    try:
        owners = [parse_address(_text(each, _OWNER_FIELDS[_kind(each)])) for each in spent]
        return owners + [
            parse_address(_text(each, "to")) for each in paid if parse_amount(_text(each, "amount"))
        ]
    except InvalidValueError as error:
        raise MalformedAnswerError(str(error)) from error


def _entries(transaction: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = transaction.get(name) or []  # a transaction of some types has none: null
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise MalformedAnswerError(f"{name!r} is no list of objects")
    return found


def _kind(entry: Mapping[str, Any]) -> str:
    return _text(entry, "__typename")


def _tip(data: Mapping[str, Any]) -> BlockMark:
    return _mark(_object(data, "chain").get("latestBlock"))


def _mark(node: object) -> BlockMark:
    if not isinstance(node, dict):
        raise MalformedAnswerError("a block is not an object")
    try:
        return BlockMark(
            check_block_height(_number(node, "height")), parse_asset_id(_text(node, "id"))
        )
    except InvalidValueError as error:
        raise MalformedAnswerError(str(error)) from error


def _id_of(data: Mapping[str, Any], alias: str) -> str | None:
    return None if data.get(alias) is None else _text(_object(data, alias), "id").lower()


def _number(container: Mapping[str, Any], name: str) -> int:
    try:
        return parse_amount(str(container.get(name)))
    except InvalidValueError as error:
        raise MalformedAnswerError(f"{name!r}: {error}") from error


def _object(container: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = container.get(name)
    if not isinstance(value, dict):
        raise MalformedAnswerError(f"{name!r} is missing or no object")
    return value


def _list(container: Mapping[str, Any], name: str) -> list[Any]:
    value = container.get(name)
    if not isinstance(value, list):
        raise MalformedAnswerError(f"{name!r} is missing or no list")
    return value


def _text(container: Mapping[str, Any], name: str) -> str:
    value = container.get(name)
    if not isinstance(value, str):
        raise MalformedAnswerError(f"{name!r} is missing or no text")
    return value
