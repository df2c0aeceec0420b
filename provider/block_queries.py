"""The requests of a follower of the chain, as JSON bodies.

The cost of a block with its transactions is about 6,700 by the rules of fuel-core 0.47 and a
fourth of it before; eleven fit beside the rest under the default limit of 80,000.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from domain.values import Address, AssetId, BlockHeight

BLOCKS_PER_REQUEST = 11
OWNERS_PER_REQUEST = 1_000
"""`balance` costs nothing where there is an index, and only the size of a body binds: a fifth of
what a node takes. Fewer would take more of the budget, and longer: L1 pays to one of all vaults."""

_SIZES = (20, 200, OWNERS_PER_REQUEST)

_START = "query ChainStart{chain{latestBlock{id height}}blocks(first:2){nodes{id height}}}"
_MARK = "query BlockMark($height:U32!){block(height:$height){id height}}"
_NEWS = (
    "query NewBlocks($cursor:U32!,$origin:U32!,$after:String!,$first:Int!){"
    "chain{latestBlock{id height}}"
    "cursor:block(height:$cursor){id}"
    "origin:block(height:$origin){id}"
    "blocks(first:$first,after:$after){nodes{id height "
    "header{eventInboxRoot transactionsCount}"
    "transactions{isMint "
    "inputs{__typename ...on InputCoin{owner}...on InputMessage{recipient}}"
    "outputs{__typename ...on CoinOutput{to amount}...on ChangeOutput{to amount}"
    "...on VariableOutput{to amount}}}}}}"
)


def start_body() -> Mapping[str, Any]:
    """Return the body that asks how a chain begins and where it stands."""
    return {"query": _START, "operationName": "ChainStart"}


def mark_body(height: BlockHeight) -> Mapping[str, Any]:
    """Return the body that asks for one block's id."""
    return {
        "query": _MARK,
        "operationName": "BlockMark",
        "variables": {"height": str(height)},
    }


def news_body(
    cursor: BlockHeight, origin: BlockHeight, first: int, *, waits: bool = False
) -> Mapping[str, Any]:
    """Return the body that asks for the blocks after the cursor, `first` at most.

    If it `waits`, the node answers when it has the next block: a node from 0.42 on holds a
    request back that requires a height a little above its own.
    """
    variables = {
        "cursor": str(cursor),
        "origin": str(origin),
        "after": str(cursor),
        "first": first,
    }
    body = {"query": _NEWS, "operationName": "NewBlocks", "variables": variables}
    if waits:
        return {**body, "extensions": {"required_fuel_block_height": cursor + 1}}
    return body


@lru_cache(maxsize=16)
def _amounts_text(owners: int) -> str:
    variables = ",".join(f"$o{n}:Address!" for n in range(owners))
    fields = " ".join(
        f"v{n}:balance(owner:$o{n},assetId:$asset){{amountU128}}" for n in range(owners)
    )
    return f"query Amounts($asset:AssetId!,{variables}){{{fields}}}"


def amounts_body(
    owners: Sequence[Address], asset_id: AssetId, required_height: BlockHeight
) -> Mapping[str, Any]:
    """Return the body that asks what each owner has of one asset.

    There are few texts, so that a node which keeps parsed ones parses each once: the last owner
    fills the places that are left.
    """
    places = next(size for size in _SIZES if size >= len(owners))
    filled = [*owners, *[owners[-1]] * (places - len(owners))]
    return {
        "query": _amounts_text(places),
        "operationName": "Amounts",
        "variables": {"asset": asset_id, **{f"o{n}": owner for n, owner in enumerate(filled)}},
        "extensions": {"required_fuel_block_height": required_height},
    }
