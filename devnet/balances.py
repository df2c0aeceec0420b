"""The balance queries, by the rules of both indexation modes.

With the index the base asset comes first and is left out when it is zero, while any other asset
that was owned once stays listed with amount 0. Without it the coins are scanned: plain order,
no zeros, no cursors.
"""

from __future__ import annotations

from typing import Any

from graphql import GraphQLError

from devnet.node import Info, ReadView
from devnet.paging import Listing, PageArguments, page
from devnet.scalars import bytes32
from domain.values import Address, AssetId

_LARGEST_U64 = 2**64 - 1


def resolve_balance(
    _source: object, info: Info, *, owner: object, asset_id: object
) -> dict[str, str]:
    """Answer `balance`: 0 for an owner or an asset that nobody knows."""
    view: ReadView = info.context
    address = bytes32("Address", owner)
    asset = bytes32("AssetId", asset_id)
    amount = view.chain.ledger.amounts.at(address, asset, view.off_chain_height)
    return _balance(address, (asset, amount or 0))


def resolve_balances(
    _source: object, info: Info, *, filters: dict[str, Any], **arguments: Any
) -> dict[str, Any]:
    """Answer `balances`: one page of an owner's balances."""
    view: ReadView = info.context
    owner = bytes32("Address", filters["owner"], "BalanceFilterInput")
    asked = PageArguments(**arguments)
    if not view.node.indexation and (asked.after is not None or asked.before is not None):
        raise GraphQLError("Can not use pagination when balances indexation is not available")
    return page(balance_listing(view, owner), asked, view.rows_before_swallowed_error)


def balance_listing(view: ReadView, owner: Address) -> Listing[dict[str, str]]:
    """Return all balances of an owner in the node's order."""
    base = view.chain.base_asset_id if view.node.indexation else None

    def place(asset_id: AssetId) -> tuple[bool, AssetId]:
        return asset_id != base, asset_id

    rows = [
        (asset_id, amount)
        for asset_id, amount in view.chain.ledger.amounts.rows(owner, view.off_chain_height)
        if amount or (base is not None and asset_id != base)
    ]
    rows.sort(key=lambda row: place(row[0]))
    return Listing(
        items=[_balance(owner, row) for row in rows],
        key=lambda balance: place(balance["assetId"]),
        cursor=lambda balance: balance["assetId"],
        parse=lambda cursor: place(bytes32("AssetId", cursor)),
    )


def _balance(owner: Address, row: tuple[AssetId, int]) -> dict[str, str]:
    asset_id, amount = row
    return {
        "owner": owner,
        "assetId": asset_id,
        "amount": str(min(amount, _LARGEST_U64)),
        "amountU128": str(amount),
    }
