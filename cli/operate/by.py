"""What `balance-cache top` can be asked for: apart, so that the other commands need not load it."""

from __future__ import annotations

from enum import StrEnum


class By(StrEnum):
    """Which vaults."""

    HOT = "hot"
    STALE = "stale"
    FAILING = "failing"
    SLOW = "slow"
