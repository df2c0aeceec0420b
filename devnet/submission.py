"""Submission of raw transactions: what the devnet can apply honestly, and nothing else.

It moves coins and messages as the inputs and outputs say. It has no virtual machine: a script
that does more than return is refused. It verifies no signature and executes no predicate.
"""

from __future__ import annotations

from collections import Counter

from graphql import GraphQLError

from devnet.chain import Chain
from devnet.raw_transactions import RawInput, RawOutput, RawScript, decode_script
from devnet.transactions import CoinInput, Input, MessageInput, Output, OutputKind, Transaction
from domain.errors import InvalidValueError
from domain.values import AssetId

_RETURN_OPCODE = 0x24
_INSTRUCTION_BYTES = 4


def submit_raw(chain: Chain, raw: bytes) -> Transaction:
    """Decode, check and submit a transaction; the next block takes it.

    Raises:
        GraphQLError: it is refused; nothing was submitted.
    """
    try:
        transaction = _resolved(decode_script(raw, chain.chain_id), chain, raw)
        chain.submit(transaction)
    except InvalidValueError as error:
        raise GraphQLError(str(error)) from error
    return transaction


def _resolved(decoded: RawScript, chain: Chain, raw: bytes) -> Transaction:
    if decoded.script and not _only_returns(decoded.script):
        raise InvalidValueError("the devnet executes no scripts but those that only return")
    inputs = tuple(_spent(one, chain) for one in decoded.inputs)
    if not inputs:
        raise InvalidValueError("The transaction has no inputs")
    available: Counter[AssetId] = Counter()
    for spent in inputs:
        asset_id = spent.coin.asset_id if isinstance(spent, CoinInput) else chain.base_asset_id
        available[asset_id] += spent.amount
    return Transaction(
        decoded.transaction_id,
        inputs,
        _paid(decoded.outputs, available),
        script="0x" + decoded.script.hex(),
        script_data="0x" + decoded.script_data.hex(),
        script_gas_limit=decoded.script_gas_limit,
        witnesses=tuple("0x" + witness.hex() for witness in decoded.witnesses),
        raw=raw,
    )


def _only_returns(script: bytes) -> bool:
    return len(script) == _INSTRUCTION_BYTES and script[0] == _RETURN_OPCODE


def _spent(one: RawInput, chain: Chain) -> Input:
    """Return what an input spends, if it says the truth about it."""
    witness = one.witness_index
    predicate, predicate_data = "0x" + one.predicate.hex(), "0x" + one.predicate_data.hex()
    if one.nonce:
        message = chain.ledger.messages.get(one.nonce)
        if message is None:
            raise InvalidValueError(f"The specified message({one.nonce[2:]}) doesn't exist")
        if (message.recipient, message.amount) != (one.owner, one.amount):
            raise InvalidValueError("Message does not match the values from database")
        return MessageInput(message, witness, predicate, predicate_data)
    coin = chain.ledger.coins.get(one.utxo_id)
    if coin is None:
        raise InvalidValueError(f"The specified coin({one.utxo_id[2:]}) doesn't exist")
    if (coin.owner, coin.amount, coin.asset_id) != (one.owner, one.amount, one.asset_id):
        raise InvalidValueError("Coin does not match the values from database")
    return CoinInput(coin, witness, predicate, predicate_data)


def _paid(outputs: tuple[RawOutput, ...], available: Counter[AssetId]) -> tuple[Output, ...]:
    """Return the outputs with the change that is left; a script that only returns pays nothing."""
    for output in outputs:
        if not output.is_change and not output.is_variable:
            available[output.asset_id] -= output.amount
    for asset_id, left in available.items():
        if left < 0:
            raise InvalidValueError(f"Insufficient input amounts: {asset_id[2:]} lacks {-left}")
    return tuple(_output(output, available) for output in outputs)


def _output(output: RawOutput, available: Counter[AssetId]) -> Output:
    if output.is_change:
        left = available.pop(output.asset_id, 0)
        return Output(OutputKind.CHANGE, output.to, output.asset_id, left)
    kind = OutputKind.VARIABLE if output.is_variable else OutputKind.COIN
    return Output(kind, output.to, output.asset_id, output.amount)
