"""Coins that pending transactions will spend: read out of their drafts."""

from __future__ import annotations

import re
from typing import Any

from domain.errors import InvalidValueError
from domain.values import check_amount, parse_asset_id
from registry.records import ReservedCoins

PENDING_STATUSES = ("await_requirements", "pending_sender")
"""Bako's statuses of a transaction that waits for signatures or for its sender."""

_OUTPUT_COIN = 0
"""A Fuel output that pays a coin; change, variable and contract outputs reserve nothing."""

_USERINFO = re.compile(r"^https?://[^@]+@")


def comparable_url(url: str) -> str:
    """Return a network's URL as Bako compares it: without credentials.

    Bako's own rule: what is before the ``@`` goes, and the scheme becomes https with it.
    """
    return _USERINFO.sub("https://", url)


def network_url_of(network: Any) -> str | None:
    """Return the comparable URL of a transaction's network, None when it names none."""
    url = network.get("url") if isinstance(network, dict) else None
    return comparable_url(url) if isinstance(url, str) else None


def reserved_by(draft: Any) -> ReservedCoins:
    """Sum the coin outputs of one transaction draft by asset.

    Raises:
        InvalidValueError: the draft is not of the shape that the SDK writes.
    """
    outputs = draft.get("outputs") if isinstance(draft, dict) else None
    if not isinstance(outputs, list):
        raise InvalidValueError("a draft without a list of outputs")
    coins: ReservedCoins = {}
    for output in outputs:
        if not isinstance(output, dict):
            raise InvalidValueError("an output is not an object")
        if output.get("type") != _OUTPUT_COIN:
            continue
        asset_id = parse_asset_id(str(output.get("assetId")))
        coins[asset_id] = coins.get(asset_id, 0) + parse_draft_amount(output.get("amount"))
    return coins


def parse_draft_amount(raw: Any) -> int:
    """Read an amount as a draft may hold it: hex text, decimal text or a whole number.

    Raises:
        InvalidValueError: none of these.
    """
    if isinstance(raw, int) and not isinstance(raw, bool):
        return check_amount(raw)
    if isinstance(raw, str) and re.fullmatch(r"0x[0-9a-fA-F]{1,64}", raw):
        return check_amount(int(raw, 16))
    if isinstance(raw, str) and re.fullmatch(r"[0-9]{1,39}", raw):
        return check_amount(int(raw))
    raise InvalidValueError(f"not an amount: {str(raw)[:80]!r}")
