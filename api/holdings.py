"""What a vault holds, what of it is reserved, and what is left. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.pricing import Pricing
from domain.values import AssetId, Balance


@dataclass(frozen=True, slots=True)
class Holdings:
    """A vault's balances in Bako's three parts, each in the node's order.

    Attributes:
        total: everything above zero.
        reserved: what pending transactions will spend.
        current: total without reserved and without NFTs.
        nfts: single units of unverified assets.
    """

    total: tuple[Balance, ...]
    reserved: tuple[Balance, ...]
    current: tuple[Balance, ...]
    nfts: tuple[Balance, ...]


def split_holdings(
    balances: Sequence[Balance], reserved: Mapping[AssetId, int], pricing: Pricing
) -> Holdings:
    """Take off what is reserved and put NFTs aside.

    An asset that is reserved beyond its balance has nothing left and vanishes. (Bako's own
    subtraction loses the sign there and shows the shortfall as money.)
    """
    total = tuple(b for b in balances if b.amount > 0)
    left = [Balance(b.asset_id, b.amount - reserved.get(b.asset_id, 0)) for b in total]
    available = [b for b in left if b.amount > 0]
    return Holdings(
        total=total,
        reserved=tuple(Balance(asset_id, amount) for asset_id, amount in reserved.items()),
        current=tuple(b for b in available if not pricing.is_nft(b)),
        nfts=tuple(b for b in available if pricing.is_nft(b)),
    )
