"""What every balance ever was.

The history is kept, so that nodes at different heights can tell of one chain.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from domain.values import Address, AssetId, BlockHeight


@dataclass(slots=True)
class _Account:
    """One owner's rows: the asset ids in order, and each one's amounts with their heights."""

    asset_ids: list[AssetId] = field(default_factory=list)
    amounts: dict[AssetId, list[tuple[BlockHeight, int]]] = field(default_factory=dict)


class Amounts:
    """What each owner had of each asset, at every height.

    A row is never deleted: an asset that was owned once stays, with amount 0.
    """

    def __init__(self) -> None:
        self._accounts: dict[Address, _Account] = {}

    def record(self, owner: Address, asset_id: AssetId, height: BlockHeight, amount: int) -> None:
        """Note the amount that is true from this height on; heights never decrease."""
        history = self._history(owner, asset_id)
        if history and history[-1][0] == height:
            history[-1] = (height, amount)
        else:
            history.append((height, amount))

    def rewrite(self, owner: Address, asset_id: AssetId, amount: int) -> None:
        """Set the amount for all heights, as if it had been so from the beginning."""
        self._history(owner, asset_id)[:] = [(0, amount)]

    def latest(self, owner: Address, asset_id: AssetId) -> int:
        """Return the newest amount; 0 when nothing is known."""
        account = self._accounts.get(owner)
        history = None if account is None else account.amounts.get(asset_id)
        return history[-1][1] if history else 0

    def at(self, owner: Address, asset_id: AssetId, height: BlockHeight) -> int | None:
        """Return the amount at a height; None when the owner had never had the asset."""
        account = self._accounts.get(owner)
        history = None if account is None else account.amounts.get(asset_id)
        return None if not history else _at(history, height)

    def rows(self, owner: Address, height: BlockHeight) -> Iterator[tuple[AssetId, int]]:
        """Yield asset id and amount of all that was ever owned, by ascending asset id."""
        account = self._accounts.get(owner)
        for asset_id in () if account is None else tuple(account.asset_ids):
            amount = self.at(owner, asset_id, height)
            if amount is not None:
                yield asset_id, amount

    def _history(self, owner: Address, asset_id: AssetId) -> list[tuple[BlockHeight, int]]:
        account = self._accounts.setdefault(owner, _Account())
        if asset_id not in account.amounts:
            account.amounts[asset_id] = []
            insort(account.asset_ids, asset_id)
        return account.amounts[asset_id]


def _at(history: list[tuple[BlockHeight, int]], height: BlockHeight) -> int | None:
    if history[-1][0] <= height:  # nearly always: nodes are at or near the chain's end
        return history[-1][1]
    place = bisect_right(history, height, key=lambda entry: entry[0])
    return history[place - 1][1] if place else None
