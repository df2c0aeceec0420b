from __future__ import annotations

import pytest

from devnet.chain import AccountBalance, Chain, Payment
from devnet.options import BASE_ASSET_ID
from devnet.transactions import CoinInput, MessageInput, OutputKind, StatusKind
from domain.errors import InvalidValueError

ALICE, BOB = "0x" + "aa" * 32, "0x" + "bb" * 32
TOKEN = "0x" + "01" * 32


@pytest.fixture
def chain() -> Chain:
    chain = Chain()
    chain.set_balances(
        [AccountBalance(ALICE, BASE_ASSET_ID, 100), AccountBalance(ALICE, TOKEN, 50)]
    )
    return chain


def amount(chain: Chain, owner: str, asset_id: str, height: int | None = None) -> int | None:
    return chain.ledger.amounts.at(owner, asset_id, chain.height if height is None else height)


def test_a_transfer_is_confirmed_in_the_block_that_it_makes(chain: Chain) -> None:
    confirmation = chain.transfer(ALICE, BOB, TOKEN, 20)
    assert confirmation.block_height == chain.height == 1
    assert (amount(chain, ALICE, TOKEN), amount(chain, BOB, TOKEN)) == (30, 20)
    assert chain.blocks[1].transactions[0].transaction_id == confirmation.transaction_id
    assert chain.blocks[1].transactions[-1].is_mint


def test_every_height_keeps_its_own_balances(chain: Chain) -> None:
    for _ in range(3):
        chain.transfer(ALICE, BOB, TOKEN, 10)
    assert [amount(chain, ALICE, TOKEN, height) for height in range(4)] == [50, 40, 30, 20]
    assert [amount(chain, BOB, TOKEN, height) for height in range(4)] == [None, 10, 20, 30]


def test_whoever_has_too_little_pays_nothing(chain: Chain) -> None:
    with pytest.raises(InvalidValueError, match=r"has 50 of .* to spend, not 51"):
        chain.transfer(ALICE, BOB, TOKEN, 51)
    assert chain.height == 0
    assert amount(chain, ALICE, TOKEN) == 50


def test_no_amount_appears_or_vanishes_by_transfers(chain: Chain) -> None:
    for _ in range(20):
        chain.transfer(ALICE, BOB, TOKEN, 2)
        chain.transfer(BOB, ALICE, TOKEN, 1)
    assert (amount(chain, ALICE, TOKEN) or 0) + (amount(chain, BOB, TOKEN) or 0) == 50


def test_the_faucet_pays_any_amount(chain: Chain) -> None:
    chain.transfer(None, BOB, TOKEN, 2**100)
    assert amount(chain, BOB, TOKEN) == 2**100


def test_a_failed_transfer_pays_a_coin_output_but_not_a_variable_one(chain: Chain) -> None:
    chain.transfer(ALICE, BOB, TOKEN, 5, failure="Revert(0)")
    assert amount(chain, BOB, TOKEN) == 5
    chain.transfer(ALICE, BOB, TOKEN, 5, kind=OutputKind.VARIABLE, failure="Revert(0)")
    assert (amount(chain, ALICE, TOKEN), amount(chain, BOB, TOKEN)) == (45, 5)
    failed = chain.blocks[2].transactions[0]
    assert [output.amount for output in failed.outputs] == [0, 45]
    status = chain.status(failed.transaction_id)
    assert status is not None
    assert (status.kind, status.reason) == (StatusKind.FAILURE, "Revert(0)")


def test_a_deposit_arrives_without_a_transaction_and_raises_the_da_height(chain: Chain) -> None:
    chain.deposit(BOB, 7)
    assert amount(chain, BOB, BASE_ASSET_ID) is None
    chain.produce_blocks()
    block = chain.blocks[1]
    assert amount(chain, BOB, BASE_ASSET_ID) == 7
    assert (block.da_height, len(block.transactions)) == (1, 1)
    assert block.event_inbox_root != chain.blocks[0].event_inbox_root


def test_a_retryable_message_is_no_balance(chain: Chain) -> None:
    chain.deposit(BOB, 7, data="0x01")
    chain.produce_blocks()
    assert amount(chain, BOB, BASE_ASSET_ID) == 0


def test_a_message_can_be_spent_like_a_coin(chain: Chain) -> None:
    chain.deposit(BOB, 7)
    chain.produce_blocks()
    chain.transfer(BOB, ALICE, BASE_ASSET_ID, 3)
    spent = (chain.blocks[2].transactions[0].inputs or ())[0]
    assert isinstance(spent, MessageInput)
    assert (amount(chain, BOB, BASE_ASSET_ID), amount(chain, ALICE, BASE_ASSET_ID)) == (4, 103)


def test_a_pooled_transaction_changes_nothing_until_its_block(chain: Chain) -> None:
    transaction = chain.prepare(Payment(ALICE, BOB, TOKEN, 5))
    chain.submit(transaction)
    chain.preconfirm(transaction.transaction_id)
    assert (amount(chain, BOB, TOKEN), chain.pool_size) == (None, 1)
    chain.produce_blocks()
    assert (amount(chain, BOB, TOKEN), chain.pool_size) == (5, 0)
    kinds = [status.kind for status in chain.statuses.of(transaction.transaction_id)]
    assert kinds == [StatusKind.SUBMITTED, StatusKind.PRECONFIRMED_SUCCESS, StatusKind.SUCCESS]


def test_coins_of_the_pool_are_not_chosen_twice(chain: Chain) -> None:
    chain.submit(chain.prepare(Payment(ALICE, BOB, TOKEN, 5)))
    with pytest.raises(InvalidValueError, match="has 0 of"):
        chain.prepare(Payment(ALICE, BOB, TOKEN, 5))


def test_of_two_transactions_that_spend_one_coin_the_second_is_squeezed_out(chain: Chain) -> None:
    first = chain.prepare(Payment(ALICE, BOB, TOKEN, 5))
    second = chain.prepare(Payment(ALICE, BOB, TOKEN, 6))
    chain.submit(first)
    chain.submit(second)
    chain.produce_blocks()
    status = chain.status(second.transaction_id)
    assert status is not None
    assert status.kind is StatusKind.SQUEEZED_OUT
    assert "doesn't exist" in status.reason
    assert amount(chain, BOB, TOKEN) == 5


def test_a_transaction_can_be_squeezed_out_on_purpose(chain: Chain) -> None:
    transaction = chain.prepare(Payment(ALICE, BOB, TOKEN, 5))
    chain.submit(transaction)
    chain.squeeze_out(transaction.transaction_id, "too old")
    chain.produce_blocks()
    assert amount(chain, ALICE, TOKEN) == 50
    assert transaction.transaction_id not in chain.transactions
    with pytest.raises(InvalidValueError, match="no such transaction in the pool"):
        chain.squeeze_out(transaction.transaction_id, "again")


def test_a_stage_that_is_set_replaces_what_was_there_at_all_heights(chain: Chain) -> None:
    chain.transfer(ALICE, BOB, TOKEN, 20)
    chain.set_balances([AccountBalance(ALICE, TOKEN, 3), AccountBalance(BOB, BASE_ASSET_ID, 1)])
    assert [amount(chain, ALICE, TOKEN, height) for height in (0, 1)] == [3, 3]
    chain.transfer(ALICE, BOB, TOKEN, 3)
    assert amount(chain, BOB, TOKEN) == 23


def test_blocks_are_chained_by_their_hashes(chain: Chain) -> None:
    chain.produce_blocks(3)
    ids = [block.block_id for block in chain.blocks]
    assert len(set(ids)) == 4
    assert [block.previous_id for block in chain.blocks[1:]] == ids[:-1]


def test_a_block_is_not_made_before_its_parent(chain: Chain) -> None:
    newest = chain.blocks[-1].unix_seconds
    with pytest.raises(InvalidValueError, match="monotonically increase"):
        chain.produce_blocks(start=newest - 1)
    chain.produce_blocks(2, start=newest + 100, step=10)
    assert [block.unix_seconds - newest for block in chain.blocks[1:]] == [100, 110]


def test_inputs_name_the_transaction_that_made_them(chain: Chain) -> None:
    made = chain.transfer(ALICE, BOB, TOKEN, 20)
    chain.transfer(BOB, ALICE, TOKEN, 20)
    spent = (chain.blocks[2].transactions[0].inputs or ())[0]
    assert isinstance(spent, CoinInput)
    assert spent.coin.utxo_id == f"{made.transaction_id}0000"
    assert spent.coin.transaction_pointer == "000000010000"
