"""Blocks and their hashes.

The hashes bind what they should (a block to its parent, its transactions and its events), but
they are plain SHA-256 of our own layout, not Fuel's Merkle roots: nobody can prove with them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from devnet.coins import Message
from devnet.transactions import ZERO_32_BYTES, Transaction
from domain.values import BlockHeight

EMPTY_ROOT = "0x" + hashlib.sha256(b"").hexdigest()
"""The Merkle root of nothing; as `eventInboxRoot` it says that L1 sent nothing."""

_TAI64_OFFSET = 2**62 + 10


def tai64(unix_seconds: int) -> int:
    """Return the node's form of a time."""
    return unix_seconds + _TAI64_OFFSET


def unix_seconds(tai64_seconds: int) -> int:
    """Return the usual form of a node's time; never negative."""
    return max(0, tai64_seconds - _TAI64_OFFSET)


def digest(*parts: object) -> str:
    """Return the SHA-256 of the parts, written one per line."""
    return "0x" + hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def root(leaves: Sequence[str]) -> str:
    """Return one hash for many; the empty root for none."""
    return digest(*leaves) if leaves else EMPTY_ROOT


@dataclass(frozen=True, slots=True)
class Block:
    """One block, with the transactions in their final form.

    Attributes:
        height: its number; 0 is the genesis.
        previous_id: the id of its parent.
        transactions: in order; the mint is the last.
        messages: what L1 sent since the parent, which changes balances without a transaction.
        da_height: the L1 block up to which messages are in.
        unix_seconds: when it was made.
        imported_at: the same by the monotonic clock.
    """

    height: BlockHeight
    previous_id: str = ZERO_32_BYTES
    transactions: tuple[Transaction, ...] = ()
    messages: tuple[Message, ...] = ()
    da_height: int = 0
    unix_seconds: int = field(default_factory=lambda: int(time.time()))
    imported_at: float = field(default_factory=time.monotonic)

    @property
    def transaction_ids(self) -> tuple[str, ...]:
        """Return the ids of its transactions."""
        return tuple(transaction.transaction_id for transaction in self.transactions)

    @property
    def transactions_root(self) -> str:
        """Return one hash of all its transactions."""
        return root(self.transaction_ids)

    @property
    def event_inbox_root(self) -> str:
        """Return one hash of what L1 sent; the empty root when that is nothing."""
        return root([message.nonce for message in self.messages])

    @property
    def application_hash(self) -> str:
        """Return the hash of what the block says about the application's state."""
        return digest(self.da_height, self.transactions_root, self.event_inbox_root)

    @property
    def block_id(self) -> str:
        """Return the block's own hash."""
        return digest(self.height, self.previous_id, self.unix_seconds, self.application_hash)
