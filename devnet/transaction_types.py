"""How transactions and their statuses appear in the schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devnet.blocks import EMPTY_ROOT, Block, tai64
from devnet.node import Info, ReadView
from devnet.transactions import (
    ZERO_32_BYTES,
    CoinInput,
    MessageInput,
    Output,
    Status,
    StatusKind,
    Transaction,
)

_MINT_CONTRACT = {
    "utxoId": ZERO_32_BYTES + "0000",
    "contractId": ZERO_32_BYTES,
    "balanceRoot": ZERO_32_BYTES,
    "stateRoot": ZERO_32_BYTES,
    "txPointer": "000000000000",
}

_REVERT = {"receiptType": "REVERT", "id": ZERO_32_BYTES, "ra": "0", "pc": "0", "is": "0"}
_RETURN = {"receiptType": "RETURN", "id": ZERO_32_BYTES, "val": "1", "pc": "0", "is": "0"}


def visible_status(view: ReadView, transaction_id: str) -> Status | None:
    """Return the newest status that a node at this height knows."""
    for status in reversed(view.chain.statuses.of(transaction_id)):
        if not status.is_final or (status.block_height or 0) <= view.on_chain_height:
            return status
    return None


def _of_script(read: Callable[[Transaction], Any]) -> Callable[[Transaction], Any]:
    return lambda transaction: None if transaction.is_mint else read(transaction)


def _of_mint(read: Callable[[Transaction], Any]) -> Callable[[Transaction], Any]:
    return lambda transaction: read(transaction) if transaction.is_mint else None


def _input_asset_ids(transaction: Transaction) -> list[str]:
    spent = [one.coin.asset_id for one in transaction.inputs or () if isinstance(one, CoinInput)]
    return sorted(set(spent))


TRANSACTION: dict[str, Callable[[Transaction], Any]] = {
    "id": lambda transaction: transaction.transaction_id,
    "isMint": lambda transaction: transaction.is_mint,
    "isScript": lambda transaction: not transaction.is_mint,
    "isCreate": lambda _: False,
    "isUpgrade": lambda _: False,
    "isUpload": lambda _: False,
    "isBlob": lambda _: False,
    "txPointer": _of_mint(lambda transaction: f"{transaction.block_height or 0:08x}0000"),
    "inputAssetIds": _of_script(_input_asset_ids),
    "inputContracts": _of_script(lambda _: []),
    "inputContract": _of_mint(lambda _: _MINT_CONTRACT),
    "inputs": lambda transaction: transaction.inputs,
    "outputs": lambda transaction: transaction.outputs,
    "outputContract": _of_mint(
        lambda _: {"inputIndex": "0", "balanceRoot": ZERO_32_BYTES, "stateRoot": ZERO_32_BYTES}
    ),
    "mintAmount": _of_mint(lambda _: "0"),
    "mintGasPrice": _of_mint(lambda _: "0"),
    "policies": _of_script(lambda _: {"maxFee": "0"}),
    "scriptGasLimit": _of_script(lambda transaction: str(transaction.script_gas_limit)),
    "script": _of_script(lambda transaction: transaction.script),
    "scriptData": _of_script(lambda transaction: transaction.script_data),
    "witnesses": _of_script(lambda transaction: transaction.witnesses),
    "receiptsRoot": _of_script(lambda _: EMPTY_ROOT),
}

INPUT_COIN: dict[str, Callable[[CoinInput], Any]] = {
    "utxoId": lambda spent: spent.coin.utxo_id,
    "owner": lambda spent: spent.coin.owner,
    "assetId": lambda spent: spent.coin.asset_id,
    "amount": lambda spent: str(spent.coin.amount),
    "txPointer": lambda spent: spent.coin.transaction_pointer,
    "witnessIndex": lambda spent: str(spent.witness_index),
    "predicateGasUsed": lambda _: "0",
    "predicate": lambda spent: spent.predicate,
    "predicateData": lambda spent: spent.predicate_data,
}

INPUT_MESSAGE: dict[str, Callable[[MessageInput], Any]] = {
    "nonce": lambda spent: spent.message.nonce,
    "sender": lambda spent: spent.message.sender,
    "recipient": lambda spent: spent.message.recipient,
    "amount": lambda spent: str(spent.message.amount),
    "data": lambda spent: spent.message.data,
    "witnessIndex": lambda spent: str(spent.witness_index),
    "predicateGasUsed": lambda _: "0",
    "predicate": lambda spent: spent.predicate,
    "predicateData": lambda spent: spent.predicate_data,
}

PAYING_OUTPUT: dict[str, Callable[[Output], Any]] = {
    "to": lambda output: output.to,
    "assetId": lambda output: output.asset_id,
    "amount": lambda output: str(output.amount),
}


def resolve_mint_asset_id(source: Transaction, info: Info) -> str | None:
    """Answer the asset that the block producer is paid in."""
    view: ReadView = info.context
    return view.chain.base_asset_id if source.is_mint else None


def resolve_transaction_status(source: Transaction, info: Info, **_arguments: Any) -> Status | None:
    """Answer a transaction's status."""
    return visible_status(info.context, source.transaction_id)


def resolve_status_block(source: Status, info: Info) -> Block:
    """Answer the block that a transaction is in."""
    view: ReadView = info.context
    return view.chain.blocks[source.block_height or 0]


def _receipts(status: Status) -> list[dict[str, str]]:
    """Return what a script that does nothing but return, or revert, leaves."""
    if status.transaction.is_mint:
        return []
    failed = status.kind in {StatusKind.FAILURE, StatusKind.PRECONFIRMED_FAILURE}
    result = {"receiptType": "SCRIPT_RESULT", "result": "1" if failed else "0", "gasUsed": "0"}
    return [_REVERT if failed else _RETURN, result]


def _program_state(status: Status) -> dict[str, str] | None:
    if status.transaction.is_mint:
        return None
    if status.kind is StatusKind.FAILURE:
        return {"returnType": "REVERT", "data": "0x0000000000000000"}
    return {"returnType": "RETURN", "data": "0x0000000000000001"}


def _resolved_outputs(status: Status) -> list[dict[str, Any]]:
    return [
        {"utxoId": f"{status.transaction.transaction_id}{number:04x}", "output": output}
        for number, output in enumerate(status.transaction.outputs)
    ]


STATUS: dict[str, Callable[[Status], Any]] = {
    "transactionId": lambda status: status.transaction.transaction_id,
    "transaction": lambda status: status.transaction,
    "blockHeight": lambda status: str(status.block_height),
    "time": lambda status: str(tai64(status.unix_seconds)),
    "reason": lambda status: status.reason,
    "programState": _program_state,
    "receipts": _receipts,
    "totalGas": lambda _: "0",
    "totalFee": lambda _: "0",
    "txPointer": lambda status: f"{status.block_height or 0:08x}{status.index:04x}",
    "resolvedOutputs": _resolved_outputs,
}
"""Of all kinds of statuses; each type of the schema takes the fields that it has."""
