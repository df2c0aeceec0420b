"""Who owns what: the state that transactions change."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from devnet.amounts import Amounts
from devnet.coins import Coin, Coins, Message, Messages
from devnet.transactions import CoinInput, Input, MessageInput, Transaction
from domain.errors import InvalidValueError
from domain.values import Address, AssetId, BlockHeight, check_amount

MAX_COIN = 2**64 - 1
"""The most that one coin can hold. Balances are sums of coins, and may be more."""


class Ledger:
    """Coins, messages, and the index of balances over them."""

    def __init__(self, base_asset_id: AssetId) -> None:
        self.base_asset_id = base_asset_id
        self.coins = Coins()
        self.messages = Messages()
        self.amounts = Amounts()

    def set_balance(self, origin: str, owner: Address, asset_id: AssetId, amount: int) -> None:
        """Replace an owner's coins of an asset, as if it had been so from the beginning.

        Raises:
            InvalidValueError: the amount is none.
        """
        check_amount(amount)
        for coin in self.coins.of(owner, asset_id):
            self.coins.spend(coin.utxo_id)
        if asset_id == self.base_asset_id:
            for message in self.messages.spendable(owner):
                self.messages.spend(message.nonce)
        self.add_coins(origin, owner, asset_id, amount)
        self.amounts.rewrite(owner, asset_id, amount)

    def add_coins(self, origin: str, owner: Address, asset_id: AssetId, amount: int) -> None:
        """Make coins out of nothing, as outputs of the named origin.

        An amount above a u64 takes two coins, of which the second may be larger than a real
        coin can be: amounts of many u64 would be millions of coins.
        """
        pieces = [MAX_COIN, amount - MAX_COIN] if amount > MAX_COIN else [amount]
        for number, piece in enumerate(pieces):
            if piece:
                self.coins.add(Coin(f"{origin}{number:04x}", owner, asset_id, piece))

    def select(
        self, owner: Address, asset_id: AssetId, amount: int, reserved: AbstractSet[str]
    ) -> tuple[Input, ...]:
        """Choose coins and messages that are worth the amount, none of the reserved ones.

        Raises:
            InvalidValueError: the owner has too little.
        """
        chosen: list[Input] = []
        total = 0
        for candidate in self._spendable(owner, asset_id):
            if total >= amount and chosen:
                break
            if identity(candidate) not in reserved:
                chosen.append(candidate)
                total += candidate.amount
        if total < amount:
            raise InvalidValueError(f"{owner} has {total} of {asset_id} to spend, not {amount}")
        return tuple(chosen)

    def check_unspent(self, transaction: Transaction) -> None:
        """Check that all inputs are there to be spent.

        Raises:
            InvalidValueError: one is not; the text is the real node's.
        """
        for spent in transaction.inputs or ():
            if isinstance(spent, CoinInput):
                if self.coins.get(spent.coin.utxo_id) != spent.coin:
                    raise InvalidValueError(
                        f"The specified coin({spent.coin.utxo_id[2:]}) doesn't exist"
                    )
            elif self.messages.is_spent(spent.message.nonce):
                raise InvalidValueError(
                    f"The specified message({spent.message.nonce[2:]}) doesn't exist"
                )

    def arrive(self, messages: Iterable[Message], height: BlockHeight) -> None:
        """Take in what L1 sent."""
        for message in messages:
            self.messages.add(message)
            self.record(message.recipient, self.base_asset_id, height)

    def apply(
        self, transaction: Transaction, height: BlockHeight, index: int, *, failed: bool
    ) -> None:
        """Spend a settled transaction's inputs and pay its outputs."""
        touched = {self._spend(spent, failed=failed) for spent in transaction.inputs or ()}
        for number, output in enumerate(transaction.outputs):
            if output.amount:
                utxo_id = f"{transaction.transaction_id}{number:04x}"
                self.coins.add(
                    Coin(utxo_id, output.to, output.asset_id, output.amount, height, index)
                )
                touched.add((output.to, output.asset_id))
        for owner, asset_id in touched:
            self.record(owner, asset_id, height)

    def record(self, owner: Address, asset_id: AssetId, height: BlockHeight) -> None:
        """Note what the owner has of the asset from this height on."""
        total = sum(spendable.amount for spendable in self._spendable(owner, asset_id))
        self.amounts.record(owner, asset_id, height, total)

    def _spend(self, spent: Input, *, failed: bool) -> tuple[Address, AssetId]:
        if isinstance(spent, CoinInput):
            self.coins.spend(spent.coin.utxo_id)
            return spent.owner, spent.coin.asset_id
        if spent.message.counts or not failed:  # a failure does not consume a retryable message
            self.messages.spend(spent.message.nonce)
        return spent.owner, self.base_asset_id

    def _spendable(self, owner: Address, asset_id: AssetId) -> list[Input]:
        found: list[Input] = [CoinInput(coin) for coin in self.coins.of(owner, asset_id)]
        if asset_id == self.base_asset_id:
            found += [MessageInput(message) for message in self.messages.spendable(owner)]
        return found


def identity(spent: Input) -> str:
    """Return what makes two inputs spend the same thing."""
    return spent.coin.utxo_id if isinstance(spent, CoinInput) else spent.message.nonce
