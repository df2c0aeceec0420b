"""What can be spent: coins, and messages from L1."""

from __future__ import annotations

from dataclasses import dataclass

from domain.values import Address, AssetId, BlockHeight


@dataclass(frozen=True, slots=True)
class Coin:
    """A spendable output of a transaction.

    Attributes:
        utxo_id: the id of the transaction and the number of its output, 34 bytes of hex.
        owner: who may spend it.
        asset_id: of what.
        amount: how much, in base units.
        block_created: the block that made it.
        transaction_index: the place in that block of the transaction that made it.
    """

    utxo_id: str
    owner: Address
    asset_id: AssetId
    amount: int
    block_created: BlockHeight = 0
    transaction_index: int = 0

    @property
    def transaction_pointer(self) -> str:
        """Return where it was made, as the node writes it: block and place, in hex."""
        return f"{self.block_created:08x}{self.transaction_index:04x}"


@dataclass(frozen=True, slots=True)
class Message:
    """What L1 sent: spendable base asset, unless it carries data (then it is *retryable*)."""

    nonce: str
    sender: Address
    recipient: Address
    amount: int
    data: str
    da_height: int
    block_created: BlockHeight

    @property
    def counts(self) -> bool:
        """Tell whether it is part of the recipient's base balance."""
        return self.data == "0x"


class Coins:
    """The unspent coins, by owner and asset."""

    def __init__(self) -> None:
        self._by_id: dict[str, Coin] = {}
        self._by_owner: dict[Address, dict[str, Coin]] = {}

    def add(self, coin: Coin) -> None:
        """Make a coin spendable."""
        self._by_id[coin.utxo_id] = coin
        self._by_owner.setdefault(coin.owner, {})[coin.utxo_id] = coin

    def spend(self, utxo_id: str) -> Coin:
        """Take a coin away.

        Raises:
            KeyError: there is no such unspent coin.
        """
        coin = self._by_id.pop(utxo_id)
        del self._by_owner[coin.owner][utxo_id]
        return coin

    def get(self, utxo_id: str) -> Coin | None:
        """Return an unspent coin."""
        return self._by_id.get(utxo_id)

    def of(self, owner: Address, asset_id: AssetId | None = None) -> list[Coin]:
        """Return an owner's coins, the oldest first; of one asset, if named."""
        coins = list(self._by_owner.get(owner, {}).values())
        return [coin for coin in coins if asset_id in (None, coin.asset_id)]


class Messages:
    """All messages that arrived, spent ones too."""

    def __init__(self) -> None:
        self._by_nonce: dict[str, Message] = {}
        self._by_recipient: dict[Address, dict[str, Message]] = {}
        self._spent: set[str] = set()

    def add(self, message: Message) -> None:
        """Let a message arrive."""
        self._by_nonce[message.nonce] = message
        self._by_recipient.setdefault(message.recipient, {})[message.nonce] = message

    def spend(self, nonce: str) -> None:
        """Mark a message as spent."""
        self._spent.add(nonce)

    def is_spent(self, nonce: str) -> bool:
        """Tell whether a transaction spent it."""
        return nonce in self._spent

    def get(self, nonce: str) -> Message | None:
        """Return a message that arrived."""
        return self._by_nonce.get(nonce)

    def all(self, recipient: Address | None = None) -> list[Message]:
        """Return what arrived in order; for one recipient, if named."""
        chosen = self._by_nonce if recipient is None else self._by_recipient.get(recipient, {})
        return list(chosen.values())

    def spendable(self, recipient: Address) -> list[Message]:
        """Return the unspent messages that count as base asset."""
        return [one for one in self.all(recipient) if one.counts and one.nonce not in self._spent]
