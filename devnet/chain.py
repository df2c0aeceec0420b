"""The chain: a pool of transactions, and blocks that confirm them.

Several nodes look at one chain. What they may see is bound to a height, so a reader needs no
lock: a block's effects are written first and its height is raised last.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devnet.blocks import Block, digest
from devnet.coins import Message
from devnet.ledger import Ledger
from devnet.options import BASE_ASSET_ID
from devnet.pool import Pool, Pooled, StatusLog
from devnet.transactions import (
    Output,
    OutputKind,
    Status,
    StatusKind,
    Transaction,
    settled,
)
from domain.errors import InvalidValueError
from domain.values import Address, AssetId, BlockHeight, ChainId, check_amount

FAUCET: Address = "0x" + "fa" * 32
"""An owner who can pay any amount of any asset: the sender when none is named."""

_L1_SENDER: Address = "0x" + "00" * 12 + "1b" * 20


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """An amount that somebody has from the beginning."""

    owner: Address
    asset_id: AssetId
    amount: int


@dataclass(frozen=True, slots=True)
class Payment:
    """What a transfer does: who pays (None: the faucet), to whom, what, how.

    A change output goes to the sender besides, with what the spent coins are worth more.
    """

    sender: Address | None
    to: Address
    asset_id: AssetId
    amount: int
    kind: OutputKind = OutputKind.COIN


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A transaction, and the block that it is in."""

    transaction_id: str
    block_height: BlockHeight


class Chain:
    """One simulated chain. All methods may be called from any thread.

    Attributes:
        chain_id: its id.
        base_asset_id: the asset that pays fees.
        ledger: who owns what.
        blocks: all blocks; the height is the place.
        transactions: by id; the pooled ones too.
        statuses: all states of all transactions.
        by_owner: heights and ids of each owner's confirmed transactions.
    """

    def __init__(self, chain_id: ChainId = 0, base_asset_id: AssetId = BASE_ASSET_ID) -> None:
        self.chain_id = chain_id
        self.base_asset_id = base_asset_id
        self.ledger = Ledger(base_asset_id)
        self.blocks: list[Block] = [Block(height=0)]
        self.transactions: dict[str, Transaction] = {}
        self.statuses = StatusLog()
        self.by_owner: dict[Address, list[tuple[BlockHeight, str]]] = {}
        self._pool = Pool()
        self._arriving: list[Message] = []
        self._da_height = 0
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    @property
    def height(self) -> BlockHeight:
        """Return the newest block's number."""
        return self.blocks[-1].height

    @property
    def pool_size(self) -> int:
        """Return how many transactions wait for a block."""
        return len(self._pool)

    def set_balances(self, balances: Iterable[AccountBalance]) -> None:
        """Give accounts what they have, as if from the beginning, on all nodes at once.

        It sets a stage and is no event of the chain: no block tells of it.

        Raises:
            InvalidValueError: an amount is none.
        """
        with self._lock:
            for balance in balances:
                self.ledger.set_balance(
                    self._unique("genesis"), balance.owner, balance.asset_id, balance.amount
                )

    def transfer(
        self,
        sender: Address | None,
        to: Address,
        asset_id: AssetId,
        amount: int,
        *,
        kind: OutputKind = OutputKind.COIN,
        failure: str | None = None,
    ) -> Confirmation:
        """Pay at once: the transaction is in the block that this makes.

        With a `failure` (the reason) it fails, as on the real chain: its coins are spent, a
        coin output is paid all the same, a variable output is not.

        Raises:
            InvalidValueError: the sender has too little; nothing is changed.
        """
        with self._lock:
            transaction = self.prepare(Payment(sender, to, asset_id, amount, kind))
            self.submit(transaction, failure=failure)
            return Confirmation(transaction.transaction_id, self.produce_blocks(1))

    def prepare(self, payment: Payment) -> Transaction:
        """Make a transaction that is not submitted yet.

        Raises:
            InvalidValueError: the sender has too little.
        """
        check_amount(payment.amount)
        with self._lock:
            payer = payment.sender
            if payer is None:
                payer = self._fill_faucet(payment.asset_id, payment.amount)
            inputs = self.ledger.select(payer, payment.asset_id, payment.amount, self._pool.spent())
            change = sum(spent.amount for spent in inputs) - payment.amount
            outputs = (
                Output(payment.kind, payment.to, payment.asset_id, payment.amount),
                Output(OutputKind.CHANGE, payer, payment.asset_id, change),
            )
            return Transaction(self._unique("transaction"), inputs, outputs)

    def submit(self, transaction: Transaction, *, failure: str | None = None) -> None:
        """Put a transaction into the pool; the next block takes it.

        Raises:
            InvalidValueError: it spends what is not there, or is known already.
        """
        with self._lock:
            if transaction.transaction_id in self.transactions:
                raise InvalidValueError(
                    f"Transaction id already exists (id: {transaction.transaction_id[2:]})"
                )
            self.ledger.check_unspent(transaction)
            self.transactions[transaction.transaction_id] = transaction
            self._pool.add(Pooled(transaction, failure))
            self.statuses.note(transaction, StatusKind.SUBMITTED)

    def preconfirm(self, transaction_id: str) -> None:
        """Announce a pooled transaction's outcome before its block: balances do not know it.

        Raises:
            InvalidValueError: the pool does not hold it.
        """
        with self._lock:
            index, pooled = self._pool.find(transaction_id)
            kind = StatusKind.PRECONFIRMED_SUCCESS
            if pooled.fails:
                kind = StatusKind.PRECONFIRMED_FAILURE
            transaction = settled(pooled.transaction, failed=pooled.fails)
            self.statuses.note(transaction, kind, self.height + 1, index, pooled.failure or "")

    def squeeze_out(self, transaction_id: str, reason: str) -> None:
        """Drop a transaction from the pool: it will never be in a block.

        Raises:
            InvalidValueError: the pool does not hold it.
        """
        with self._lock:
            self._drop(self._pool.remove(transaction_id).transaction, reason)

    def deposit(self, recipient: Address, amount: int, data: str = "0x") -> Message:
        """Let L1 send base asset: it arrives with the next block, without a transaction.

        With data the message is retryable, and no part of the balance.

        Raises:
            InvalidValueError: the amount is none.
        """
        check_amount(amount)
        with self._lock:
            self._da_height += 1
            nonce = self._unique("message")
            message = Message(
                nonce, _L1_SENDER, recipient, amount, data, self._da_height, self.height + 1
            )
            self._arriving.append(message)
            return message

    def produce_blocks(
        self, count: int = 1, *, start: int | None = None, step: int = 0
    ) -> BlockHeight:
        """Make blocks; the first takes the pool. Returns the newest height.

        With a `start` (unix seconds) the first is made as if then, and each other `step` seconds
        after the one before it.

        Raises:
            InvalidValueError: the start is before the newest block.
        """
        with self._lock:
            if start is not None and start < self.blocks[-1].unix_seconds:
                raise InvalidValueError("The block timestamp should monotonically increase")
            for number in range(count):
                self._produce_block(int(time.time()) if start is None else start + number * step)
            return self.height

    def status(self, transaction_id: str) -> Status | None:
        """Return a transaction's newest status."""
        known = self.statuses.of(transaction_id)
        return known[-1] if known else None

    def _produce_block(self, unix_seconds: int) -> None:
        height = self.height + 1
        self.ledger.arrive(self._arriving, height)
        executed: list[tuple[Transaction, str | None]] = []
        for pooled in self._pool.drain():
            transaction = self._execute(pooled, height, len(executed))
            if transaction is not None:
                executed.append((transaction, pooled.failure))
        self._append_block(height, unix_seconds, [transaction for transaction, _ in executed])
        for index, (transaction, failure) in enumerate(executed):
            kind = StatusKind.SUCCESS if failure is None else StatusKind.FAILURE
            self.statuses.note(transaction, kind, height, index, failure or "")

    def _execute(self, pooled: Pooled, height: BlockHeight, index: int) -> Transaction | None:
        transaction = settled(pooled.transaction, failed=pooled.fails)
        try:
            self.ledger.check_unspent(transaction)
        except InvalidValueError as error:  # another one of the pool was first
            self._drop(transaction, str(error))
            return None
        self.ledger.apply(transaction, height, index, failed=pooled.fails)
        for owner in transaction.parties():
            self.by_owner.setdefault(owner, []).append((height, transaction.transaction_id))
        self.transactions[transaction.transaction_id] = transaction
        return transaction

    def _append_block(
        self, height: BlockHeight, unix_seconds: int, transactions: Sequence[Transaction]
    ) -> None:
        mint = Transaction(self._unique("mint"), None, (), block_height=height)
        self.transactions[mint.transaction_id] = mint
        self.statuses.note(mint, StatusKind.SUCCESS, height, len(transactions))
        arrived, self._arriving = tuple(self._arriving), []
        self.blocks.append(
            Block(
                height=height,
                previous_id=self.blocks[-1].block_id,
                transactions=(*transactions, mint),
                messages=arrived,
                da_height=self._da_height,
                unix_seconds=unix_seconds,
            )
        )

    def _drop(self, transaction: Transaction, reason: str) -> None:
        del self.transactions[transaction.transaction_id]
        self.statuses.note(transaction, StatusKind.SQUEEZED_OUT, reason=reason)

    def _fill_faucet(self, asset_id: AssetId, amount: int) -> Address:
        self.ledger.add_coins(self._unique("faucet"), FAUCET, asset_id, max(amount, 1))
        return FAUCET

    def _unique(self, what: str) -> str:
        return digest(what, self.chain_id, next(self._numbers))
