"""Raw transactions, encoded by the TypeScript SDK (fuels 0.103)."""

from __future__ import annotations

import pytest
from graphql import GraphQLError

from devnet.chain import AccountBalance, Chain
from devnet.coins import Coin
from devnet.raw_transactions import decode_script
from devnet.submission import submit_raw
from domain.errors import InvalidValueError

OWNER, PAYEE, ASSET = "aa" * 32, "dd" * 32, "11" * 32
COIN = "c1" * 32


def word(number: int) -> str:
    return f"{number:016x}"


def encoded(script: str = "24000000", paid: int = 300, message: bool = True) -> bytes:
    """The SDK's bytes: a coin (and a message) in; change, a coin and a variable output out."""
    inputs = word(0) + COIN + word(3) + OWNER + word(1000) + ASSET + word(0) * 6
    if message:
        inputs += word(2) + "bb" * 32 + OWNER + word(50) + "e5" * 32 + word(0) * 5
    outputs = word(2) + OWNER + word(0) + ASSET
    outputs += word(2) + OWNER + word(0) + "22" * 32
    outputs += word(0) + PAYEE + word(paid) + ASSET
    outputs += word(3) + "00" * 72
    head = word(0) + word(5) + "00" * 32 + word(len(script) // 2) + word(0) + word(13)
    head += word(1 + message) + word(4) + word(1)
    padded = script.ljust((len(script) + 15) // 16 * 16, "0")
    policies = word(1) + word(2) + word(7)
    return bytes.fromhex(head + padded + policies + inputs + outputs + word(64) + "00" * 64)


def test_the_id_is_the_one_that_the_sdk_computes() -> None:
    raw = encoded()
    assert decode_script(raw, 0).transaction_id == (
        "0x32f659de92de025bf41622972afebb2f73386dbe6c048b4ba216fbcd068e98f9"
    )
    assert decode_script(raw, 9889).transaction_id == (
        "0x5512a6c809eba97c8291669b2ff00fee385647634008ce59236ac0c3112ff354"
    )


def test_a_witness_does_not_change_the_id() -> None:
    raw = bytearray(encoded())
    raw[-1] = 1
    assert decode_script(bytes(raw), 0).transaction_id == decode_script(encoded(), 0).transaction_id


def test_inputs_and_outputs_are_read() -> None:
    decoded = decode_script(encoded(), 0)
    assert decoded.inputs[0].utxo_id == f"0x{COIN}0003"
    assert [one.amount for one in decoded.inputs] == [1000, 50]
    assert [(one.is_change, one.amount) for one in decoded.outputs] == [
        (True, 0),
        (True, 0),
        (False, 300),
        (False, 0),
    ]
    assert [len(witness) for witness in decoded.witnesses] == [64]


@pytest.mark.parametrize("length", [0, 7, 8, 100, 400, 800])
def test_bytes_that_end_too_early_are_refused(length: int) -> None:
    with pytest.raises(InvalidValueError, match="end too early"):
        decode_script(encoded()[:length], 0)


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="go on after its end"):
        decode_script(encoded() + bytes(8), 0)


def test_other_types_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="type Script only"):
        decode_script(bytes.fromhex(word(1)) + encoded()[8:], 0)


def chain_with_coin(amount: int = 1000) -> Chain:
    chain = Chain()
    chain.ledger.coins.add(Coin(f"0x{COIN}0003", "0x" + OWNER, "0x" + ASSET, amount))
    return chain


def test_a_submitted_transaction_moves_its_coins_in_the_next_block() -> None:
    chain = chain_with_coin()
    submit_raw(chain, encoded(message=False))
    chain.produce_blocks()
    amounts = chain.ledger.amounts
    assert amounts.latest("0x" + PAYEE, "0x" + ASSET) == 300
    assert amounts.latest("0x" + OWNER, "0x" + ASSET) == 700


@pytest.mark.parametrize(
    ("chain", "raw", "message"),
    [
        (Chain(), encoded(message=False), "The specified coin(.*) doesn't exist"),
        (chain_with_coin(), encoded(), "The specified message(.*) doesn't exist"),
        (chain_with_coin(999), encoded(message=False), "Coin does not match"),
        (chain_with_coin(), encoded(paid=1001, message=False), "Insufficient input amounts"),
        (chain_with_coin(), encoded(script="5dfcc000", message=False), "executes no scripts"),
    ],
)
def test_what_cannot_be_applied_is_refused_and_not_submitted(
    chain: Chain, raw: bytes, message: str
) -> None:
    with pytest.raises(GraphQLError, match=message):
        submit_raw(chain, raw)
    assert chain.pool_size == 0


def test_a_transaction_is_submitted_once() -> None:
    chain = chain_with_coin()
    submit_raw(chain, encoded(message=False))
    with pytest.raises(GraphQLError, match="Transaction id already exists"):
        submit_raw(chain, encoded(message=False))


def test_a_stage_that_is_set_takes_the_coins_away() -> None:
    chain = chain_with_coin()
    chain.set_balances([AccountBalance("0x" + OWNER, "0x" + ASSET, 1000)])
    with pytest.raises(GraphQLError, match="doesn't exist"):
        submit_raw(chain, encoded(message=False))
