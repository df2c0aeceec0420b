"""How blocks appear in the schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devnet.blocks import EMPTY_ROOT, Block, digest, tai64
from devnet.parameters import CONSENSUS_PARAMETERS_VERSION, STATE_TRANSITION_VERSION
from devnet.transactions import ZERO_32_BYTES


def consensus(block: Block) -> dict[str, str]:
    """Return who vouches for a block: nobody for the genesis, the producer for all others.

    The signature is 64 bytes of the right form and proves nothing.
    """
    if block.height:
        first, second = digest("signature", block.block_id), digest("proof", block.block_id)
        return {"__typename": "PoAConsensus", "signature": first + second[2:]}
    return {
        "__typename": "Genesis",
        "chainConfigHash": ZERO_32_BYTES,
        "coinsRoot": EMPTY_ROOT,
        "contractsRoot": EMPTY_ROOT,
        "messagesRoot": EMPTY_ROOT,
        "transactionsRoot": EMPTY_ROOT,
    }


BLOCK: dict[str, Callable[[Block], Any]] = {
    "id": lambda block: block.block_id,
    "height": lambda block: str(block.height),
    "version": lambda _: "V1",
    "header": lambda block: block,
    "consensus": consensus,
    "transactionIds": lambda block: block.transaction_ids,
    "transactions": lambda block: block.transactions,
}

HEADER: dict[str, Callable[[Block], Any]] = {
    "id": lambda block: block.block_id,
    "height": lambda block: str(block.height),
    "version": lambda _: "V1",
    "time": lambda block: str(tai64(block.unix_seconds)),
    "daHeight": lambda block: str(block.da_height),
    "consensusParametersVersion": lambda _: str(CONSENSUS_PARAMETERS_VERSION),
    "stateTransitionBytecodeVersion": lambda _: str(STATE_TRANSITION_VERSION),
    "transactionsCount": lambda block: str(len(block.transactions)),
    "transactionsRoot": lambda block: block.transactions_root,
    "messageReceiptCount": lambda _: "0",
    "messageOutboxRoot": lambda _: EMPTY_ROOT,
    "eventInboxRoot": lambda block: block.event_inbox_root,
    "prevRoot": lambda block: block.previous_id,
    "applicationHash": lambda block: block.application_hash,
    "txIdCommitment": lambda _: None,
}
