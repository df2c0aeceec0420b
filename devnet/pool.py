"""Transactions that wait for a block, and what is known of all transactions."""

from __future__ import annotations

import time
from dataclasses import dataclass

from devnet.ledger import identity
from devnet.transactions import PRECONFIRMATIONS, Status, StatusKind, Transaction
from domain.errors import InvalidValueError
from domain.values import BlockHeight


@dataclass(frozen=True, slots=True)
class Pooled:
    """A transaction that waits.

    Attributes:
        transaction: which.
        failure: the reason for which it will fail; None: it will not.
    """

    transaction: Transaction
    failure: str | None

    @property
    def fails(self) -> bool:
        """Tell whether it will fail."""
        return self.failure is not None


class Pool:
    """The transactions that wait, in order."""

    def __init__(self) -> None:
        self._waiting: list[Pooled] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, pooled: Pooled) -> None:
        """Let a transaction wait."""
        self._waiting.append(pooled)

    def drain(self) -> list[Pooled]:
        """Take all that wait."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def find(self, transaction_id: str) -> tuple[int, Pooled]:
        """Return a transaction and its place.

        Raises:
            InvalidValueError: it does not wait here.
        """
        for index, pooled in enumerate(self._waiting):
            if pooled.transaction.transaction_id == transaction_id:
                return index, pooled
        raise InvalidValueError(f"no such transaction in the pool: {transaction_id[:80]}")

    def remove(self, transaction_id: str) -> Pooled:
        """Take one transaction away.

        Raises:
            InvalidValueError: it does not wait here.
        """
        index, _pooled = self.find(transaction_id)
        return self._waiting.pop(index)

    def spent(self) -> set[str]:
        """Return what the waiting transactions spend."""
        return {
            identity(spent) for pooled in self._waiting for spent in pooled.transaction.inputs or ()
        }


class StatusLog:
    """All states of all transactions, in order.

    Attributes:
        by_transaction: the states of each transaction id.
        preconfirmations: those of all transactions.
    """

    def __init__(self) -> None:
        self.by_transaction: dict[str, list[Status]] = {}
        self.preconfirmations: list[Status] = []

    def of(self, transaction_id: str) -> list[Status]:
        """Return the states of a transaction, the newest last."""
        return list(self.by_transaction.get(transaction_id, ()))

    def note(
        self,
        transaction: Transaction,
        kind: StatusKind,
        height: BlockHeight | None = None,
        index: int = 0,
        reason: str = "",
    ) -> None:
        """Note a new state; height and index say in which block, at which place."""
        status = Status(kind, transaction, int(time.time()), height, index, reason)
        self.by_transaction.setdefault(transaction.transaction_id, []).append(status)
        if kind in PRECONFIRMATIONS:
            self.preconfirmations.append(status)
