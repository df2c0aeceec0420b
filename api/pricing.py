"""What an asset is worth: Bako's quotes and asset list, in the form that sums need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from api.money import DEFAULT_UNITS, dollars
from domain.values import AssetId, Balance, ChainId

_HIGHEST_PRICE = 1e15
"""What costs more is a broken quote."""

_PRICE = re.compile(r"[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?")
"""A price as JavaScript writes it. Python alone reads more: ``1_0``, digits of other scripts."""


@dataclass(frozen=True, slots=True)
class Pricing:
    """Prices, decimals and verified assets of one chain.

    Attributes:
        prices: dollars for one whole unit, by asset; a price of 0 or none is unknown.
        units: decimals by asset.
        verified: assets on the list of verified ones; others with amount 1 are NFTs.
        as_of_ms: when the quotes were fetched; None: nobody knows.
        version: the same for the same prices, decimals and list, in every process.
    """

    prices: Mapping[AssetId, float] = field(default_factory=dict)
    units: Mapping[AssetId, int] = field(default_factory=dict)
    verified: frozenset[AssetId] = frozenset()
    as_of_ms: int | None = None
    version: str = ""

    def worth(self, balance: Balance) -> float:
        """Return a balance in dollars; without a price 0, as Bako counts it."""
        units = self.units.get(balance.asset_id, DEFAULT_UNITS)
        return dollars(balance.amount, units, self.prices.get(balance.asset_id, 0.0))

    def total(self, balances: Iterable[Balance]) -> float:
        """Return the worth of balances, added in their order: the order shows in a double."""
        total = 0.0
        for balance in balances:
            total += self.worth(balance)
        return total

    def unpriced(self, balances: Iterable[Balance]) -> list[AssetId]:
        """Return the assets among these whose price nobody knows, each once."""
        unknown = (b.asset_id for b in balances if not self.prices.get(b.asset_id))
        return list(dict.fromkeys(unknown))

    def is_nft(self, balance: Balance) -> bool:
        """Tell whether Bako takes it for an NFT: one single unit of an unverified asset."""
        return balance.amount == 1 and balance.asset_id not in self.verified


def read_prices(quotes: Mapping[str, str]) -> dict[AssetId, float]:
    """Read the fields of the ``quotes`` hash; what is no price is left out."""
    prices = {}
    for asset_id, raw in quotes.items():
        if _PRICE.fullmatch(raw) and (price := float(raw)) <= _HIGHEST_PRICE:
            prices[asset_id] = price
    return prices


def read_units(asset_list: Any, chain_id: ChainId) -> dict[AssetId, int]:
    """Read decimals out of ``fuelAssetsList``; the first entry of an asset counts."""
    units: dict[AssetId, int] = {}
    for asset in asset_list if isinstance(asset_list, list) else []:
        network = _network_of(asset, chain_id)
        asset_id, decimals = network.get("assetId"), _decimals(network.get("decimals"))
        if isinstance(asset_id, str) and decimals is not None:
            units.setdefault(asset_id, decimals)
    return units


def _network_of(asset: Any, chain_id: ChainId) -> Mapping[str, Any]:
    networks = asset.get("networks") if isinstance(asset, dict) else None
    for network in networks if isinstance(networks, list) else []:
        if isinstance(network, dict) and network.get("chainId") == chain_id:
            return network
    return {}


def _decimals(raw: Any) -> int | None:
    most = 77  # a u256 has 78 digits
    whole = isinstance(raw, int) and not isinstance(raw, bool)
    return raw if whole and 0 <= raw <= most else None
