"""How a user's money is spread over assets, as Bako's dashboard shows it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.pricing import Pricing
from domain.values import AssetId, Balance

_TOP = 3


@dataclass(frozen=True, slots=True)
class Share:
    """One row: an asset, or all the others together (no asset id).

    The amount of "others" adds base units of different assets: Bako's clients expect the field,
    it means nothing.
    """

    asset_id: AssetId | None
    worth: float
    amount: int
    percentage: float


@dataclass(frozen=True, slots=True)
class Allocation:
    """The rows, the total, and each vault's part of it in the order given."""

    shares: tuple[Share, ...]
    total: float
    by_vault: tuple[float, ...]


def allocate(vaults: Sequence[Sequence[Balance]], pricing: Pricing) -> Allocation:
    """Add up vaults of one network, each given by its spendable balances."""
    return allocate_each([(balances, pricing) for balances in vaults])


def allocate_each(vaults: Sequence[tuple[Sequence[Balance], Pricing]]) -> Allocation:
    """Add up vaults, each given by its spendable balances and the prices of its network.

    Doubles are added in Bako's order, vault after vault and balance after balance, because the
    order can be seen in the last digits. Nothing is rounded.
    """
    worths: dict[AssetId, float] = {}
    amounts: dict[AssetId, int] = {}
    by_vault = []
    total = 0.0
    for balances, pricing in vaults:
        vault_worth = 0.0
        for balance in balances:
            worth = pricing.worth(balance)
            total += worth
            vault_worth += worth
            worths[balance.asset_id] = worths.get(balance.asset_id, 0.0) + worth
            amounts[balance.asset_id] = amounts.get(balance.asset_id, 0) + balance.amount
        by_vault.append(vault_worth)
    rows = [
        Share(asset_id, worth, amounts[asset_id], worth / total * 100)
        for asset_id, worth in worths.items()
        if worth > 0
    ]
    return Allocation(_top_and_others(rows), total, tuple(by_vault))


def _top_and_others(rows: list[Share]) -> tuple[Share, ...]:
    ranked = sorted(rows, key=lambda row: row.percentage, reverse=True)
    top, rest = ranked[:_TOP], ranked[_TOP:]
    if not rest:
        return tuple(top)
    worth = percentage = 0.0
    for row in rest:  # not sum(): it compensates, JavaScript does not
        worth += row.worth
        percentage += row.percentage
    return (*top, Share(None, worth, sum(row.amount for row in rest), percentage))
