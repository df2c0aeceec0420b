"""The requests that we send, as JSON bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from domain.values import BlockHeight
from provider.planner import Page

_FRAGMENT = (
    "fragment P on BalanceConnection{nodes{assetId amountU128}pageInfo{hasNextPage endCursor}}"
)

PROFILE_QUERY = (
    "query NodeProfile{chain{consensusParameters{chainId baseAssetId}}"
    "nodeInfo{nodeVersion indexation{balances}}}"
)
"""Which chain a node serves and whether it keeps an index of balances (fuel-core 0.41.1)."""


def alias(position: int) -> str:
    """Return the name under which the page at this position is answered."""
    return f"v{position}"


@lru_cache(maxsize=256)
def _balances_text(shape: tuple[tuple[int, bool], ...]) -> str:
    """Return the query for pages of this shape; nodes that cache by text see few texts."""
    variables, fields = [], []
    for position, (first, continued) in enumerate(shape):
        variables.append(f"$o{position}:Address!")
        after = ""
        if continued:
            variables.append(f"$c{position}:String")
            after = f",after:$c{position}"
        field = f"balances(filter:{{owner:$o{position}}},first:{first}{after}){{...P}}"
        fields.append(f"{alias(position)}:{field}")
    return f"query Balances({','.join(variables)}){{{' '.join(fields)}}}{_FRAGMENT}"


def balances_body(pages: Sequence[Page], required_height: BlockHeight) -> Mapping[str, Any]:
    """Return the body that asks for these pages at this height or later."""
    variables: dict[str, str] = {}
    for position, page in enumerate(pages):
        variables[f"o{position}"] = page.address
        if page.after is not None:
            variables[f"c{position}"] = page.after
    body: dict[str, Any] = {
        "query": _balances_text(tuple((page.first, page.after is not None) for page in pages)),
        "variables": variables,
        "operationName": "Balances",
    }
    if required_height > 0:
        body["extensions"] = {"required_fuel_block_height": required_height}
    return body


def profile_body() -> Mapping[str, Any]:
    """Return the body that asks a node who it is."""
    return {"query": PROFILE_QUERY, "operationName": "NodeProfile"}
