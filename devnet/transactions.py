"""Transactions and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from devnet.coins import Coin, Message
from domain.values import Address, AssetId, BlockHeight

ZERO_32_BYTES = "0x" + "00" * 32


class OutputKind(StrEnum):
    """How an output pays: the node's names of the types."""

    COIN = "CoinOutput"
    CHANGE = "ChangeOutput"
    VARIABLE = "VariableOutput"


@dataclass(frozen=True, slots=True)
class Output:
    """What a transaction pays to whom. An amount of 0 makes no coin."""

    kind: OutputKind
    to: Address
    asset_id: AssetId
    amount: int

    @property
    def typename(self) -> str:
        """Return the schema's name of its type."""
        return self.kind.value


@dataclass(frozen=True, slots=True)
class CoinInput:
    """A coin that a transaction spends."""

    coin: Coin
    witness_index: int = 0
    predicate: str = "0x"
    predicate_data: str = "0x"
    typename: str = "InputCoin"

    @property
    def owner(self) -> Address:
        """Return who pays."""
        return self.coin.owner

    @property
    def amount(self) -> int:
        """Return how much it is worth."""
        return self.coin.amount


@dataclass(frozen=True, slots=True)
class MessageInput:
    """A message that a transaction spends."""

    message: Message
    witness_index: int = 0
    predicate: str = "0x"
    predicate_data: str = "0x"
    typename: str = "InputMessage"

    @property
    def owner(self) -> Address:
        """Return who pays."""
        return self.message.recipient

    @property
    def amount(self) -> int:
        """Return how much it is worth."""
        return self.message.amount


Input = CoinInput | MessageInput


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction as it is stored: change and variable outputs hold their final amounts.

    Attributes:
        transaction_id: 32 bytes.
        inputs: what it spends; None for the mint that ends each block.
        outputs: what it pays.
        block_height: the block of a mint; None for all others, whose status tells it.
        script: what it would execute.
        script_data: its argument.
        script_gas_limit: the gas that the script may use.
        witnesses: signatures.
        raw: canonical bytes, when somebody submitted them.
    """

    transaction_id: str
    inputs: tuple[Input, ...] | None
    outputs: tuple[Output, ...]
    block_height: BlockHeight | None = None
    script: str = "0x"
    script_data: str = "0x"
    script_gas_limit: int = 0
    witnesses: tuple[str, ...] = ()
    raw: bytes | None = None

    @property
    def is_mint(self) -> bool:
        """Tell whether it is the block producer's own."""
        return self.inputs is None

    def parties(self) -> set[Address]:
        """Return the owners of its coin inputs and coin outputs, as the node indexes them."""
        owners = {spent.owner for spent in self.inputs or () if isinstance(spent, CoinInput)}
        return owners | {output.to for output in self.outputs if output.amount}


class StatusKind(StrEnum):
    """The states of a transaction: the node's names of the types."""

    SUBMITTED = "SubmittedStatus"
    SUCCESS = "SuccessStatus"
    FAILURE = "FailureStatus"
    SQUEEZED_OUT = "SqueezedOutStatus"
    PRECONFIRMED_SUCCESS = "PreconfirmationSuccessStatus"
    PRECONFIRMED_FAILURE = "PreconfirmationFailureStatus"


PRECONFIRMATIONS = frozenset({StatusKind.PRECONFIRMED_SUCCESS, StatusKind.PRECONFIRMED_FAILURE})
FINAL = frozenset({StatusKind.SUCCESS, StatusKind.FAILURE, StatusKind.SQUEEZED_OUT})


@dataclass(frozen=True, slots=True)
class Status:
    """What became of a transaction.

    Attributes:
        kind: the state.
        transaction: whose.
        unix_seconds: when it got there.
        block_height: in which block, or expected in which (preconfirmation).
        index: its place in that block.
        reason: why it failed or left the pool.
    """

    kind: StatusKind
    transaction: Transaction
    unix_seconds: int
    block_height: BlockHeight | None = None
    index: int = 0
    reason: str = ""

    @property
    def typename(self) -> str:
        """Return the schema's name of its type."""
        return self.kind.value

    @property
    def is_final(self) -> bool:
        """Tell whether nothing follows."""
        return self.kind in FINAL


def settled(transaction: Transaction, *, failed: bool) -> Transaction:
    """Return the transaction with the final amounts of its change and variable outputs.

    A failed transaction pays no variable output, and what it did not pay is change.
    """
    if not failed:
        return transaction
    unpaid: dict[AssetId, int] = {}
    for output in transaction.outputs:
        if output.kind is OutputKind.VARIABLE:
            unpaid[output.asset_id] = unpaid.get(output.asset_id, 0) + output.amount
    outputs = []
    for output in transaction.outputs:
        if output.kind is OutputKind.VARIABLE:
            outputs.append(replace(output, amount=0))
        elif output.kind is OutputKind.CHANGE:
            outputs.append(replace(output, amount=output.amount + unpaid.pop(output.asset_id, 0)))
        else:
            outputs.append(output)
    return replace(transaction, outputs=tuple(outputs))
