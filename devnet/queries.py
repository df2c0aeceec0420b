"""The other queries: chain, node, blocks, transactions, coins, messages."""

from __future__ import annotations

from typing import Any

from graphql import GraphQLError

from devnet.blocks import Block
from devnet.coins import Coin, Message
from devnet.node import Info, ReadView
from devnet.paging import Listing, PageArguments, page
from devnet.parameters import chain_info, node_info
from devnet.scalars import bytes32, unsigned, utxo_id
from devnet.transaction_types import visible_status
from devnet.transactions import Transaction


def resolve_chain(_source: object, info: Info) -> dict[str, Any]:
    """Answer `chain`."""
    return chain_info(info.context)


def resolve_node_info(_source: object, info: Info) -> dict[str, Any]:
    """Answer `nodeInfo`."""
    return node_info(info.context)


def resolve_latest_gas_price(_source: object, info: Info) -> dict[str, str]:
    """Answer `latestGasPrice`: gas is free here."""
    view: ReadView = info.context
    return {"gasPrice": "0", "blockHeight": str(view.on_chain_height)}


def resolve_block(
    _source: object, info: Info, *, wanted: object = None, height: object = None
) -> Block | None:
    """Answer `block`, by its id or its height."""
    view: ReadView = info.context
    if wanted is not None and height is not None:
        raise GraphQLError("Can't provide both an id and a height")
    if height is not None:
        number = unsigned("U32", height)
        return view.chain.blocks[number] if number <= view.on_chain_height else None
    if wanted is None:
        raise GraphQLError("Missing either id or height")
    block_id = bytes32("BlockId", wanted)
    visible = view.chain.blocks[: view.on_chain_height + 1]
    return next((block for block in reversed(visible) if block.block_id == block_id), None)


def resolve_blocks(_source: object, info: Info, **arguments: Any) -> dict[str, Any]:
    """Answer `blocks`: the cursor is the height."""
    view: ReadView = info.context
    listing = Listing(
        items=view.chain.blocks[: view.on_chain_height + 1],
        key=lambda block: block.height,
        cursor=lambda block: str(block.height),
        parse=lambda cursor: unsigned("U32", cursor),
    )
    return page(listing, PageArguments(**arguments), view.rows_before_swallowed_error)


def resolve_transaction(_source: object, info: Info, *, wanted: object) -> Transaction | None:
    """Answer `transaction`: null for one that the node does not know."""
    status = visible_status(info.context, bytes32("TransactionId", wanted))
    return None if status is None else status.transaction


def resolve_transactions_by_owner(
    _source: object, info: Info, *, owner: object, **arguments: Any
) -> dict[str, Any]:
    """Answer `transactionsByOwner`: confirmed ones that moved coins of the owner."""
    view: ReadView = info.context
    address = bytes32("Address", owner)
    entries = [
        (height, number, transaction_id)
        for number, (height, transaction_id) in enumerate(
            list(view.chain.by_owner.get(address, ()))
        )
        if height <= view.off_chain_height
    ]
    listing = Listing(
        items=entries,
        key=lambda entry: entry[:2],
        cursor=lambda entry: f"{entry[0]:08x}{entry[1]:04x}",
        parse=_pointer,
    )
    found = page(listing, PageArguments(**arguments), view.rows_before_swallowed_error)
    transactions = view.chain.transactions
    return {
        "nodes": [transactions[entry[2]] for entry in found["nodes"]],
        "edges": [
            {"cursor": edge["cursor"], "node": transactions[edge["node"][2]]}
            for edge in found["edges"]
        ],
        "pageInfo": found["pageInfo"],
    }


def _pointer(cursor: str) -> tuple[int, int]:
    try:
        return int(cursor[:8], 16), int(cursor[8:], 16)
    except ValueError as error:
        raise GraphQLError("Invalid cursor") from error


def resolve_coins(
    _source: object, info: Info, *, filters: dict[str, Any], **arguments: Any
) -> dict[str, Any]:
    """Answer `coins`: an owner's unspent coins, as the newest block left them."""
    view: ReadView = info.context
    owner = bytes32("Address", filters["owner"], "CoinFilterInput")
    asset_id = filters.get("assetId")
    if asset_id is not None:
        asset_id = bytes32("AssetId", asset_id, "CoinFilterInput")
    coins: list[Coin] = view.chain.ledger.coins.of(owner, asset_id)
    listing = Listing(
        items=sorted(coins, key=lambda coin: coin.utxo_id),
        key=lambda coin: coin.utxo_id,
        cursor=lambda coin: coin.utxo_id,
        parse=utxo_id,
    )
    return page(listing, PageArguments(**arguments), view.rows_before_swallowed_error)


def resolve_message(_source: object, info: Info, *, nonce: object) -> Message | None:
    """Answer `message`: null for one that did not arrive yet."""
    view: ReadView = info.context
    message = view.chain.ledger.messages.get(bytes32("Nonce", nonce))
    return message if message is not None and _arrived(message, view) else None


def resolve_messages(
    _source: object, info: Info, *, owner: object = None, **arguments: Any
) -> dict[str, Any]:
    """Answer `messages`: unspent ones, retryable ones too."""
    view: ReadView = info.context
    recipient = None if owner is None else bytes32("Address", owner)
    messages = view.chain.ledger.messages
    listing = Listing(
        items=sorted(
            (
                message
                for message in messages.all(recipient)
                if _arrived(message, view) and not messages.is_spent(message.nonce)
            ),
            key=lambda message: message.nonce,
        ),
        key=lambda message: message.nonce,
        cursor=lambda message: message.nonce,
        parse=lambda cursor: bytes32("Nonce", cursor),
    )
    return page(listing, PageArguments(**arguments), view.rows_before_swallowed_error)


def resolve_message_status(_source: object, info: Info, *, nonce: object) -> dict[str, str]:
    """Answer `messageStatus`."""
    view: ReadView = info.context
    message = view.chain.ledger.messages.get(bytes32("Nonce", nonce))
    if message is None or not _arrived(message, view):
        return {"state": "NOT_FOUND"}
    spent = view.chain.ledger.messages.is_spent(message.nonce)
    return {"state": "SPENT" if spent else "UNSPENT"}


def _arrived(message: Message, view: ReadView) -> bool:
    return message.block_created <= view.on_chain_height
