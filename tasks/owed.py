"""Refills that a follower owes: noted with his cursor before he declares anything wrong.

Whoever is killed, or loses his lease, between a declaration and the message that asks for the
refill would otherwise leave vaults that nobody refills until somebody reads them: the cursor has
moved past them, and a walk meets only what is called fresh.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cache.cursor import FollowerState
from domain.values import Address, BlockHeight


def with_owed(
    state: FollowerState, addresses: Iterable[Address], height: BlockHeight
) -> FollowerState:
    """Return the state with refills owed at a height; the greater height stays."""
    owed = dict(state.owed)
    for address in addresses:
        owed[address] = max(height, owed.get(address, 0))
    return replace(state, owed=owed)


def without_owed(
    state: FollowerState, addresses: Iterable[Address], height: BlockHeight
) -> FollowerState:
    """Return the state after refills at a height were asked for; what is owed above it stays."""
    asked = set(addresses)
    left = {a: owed for a, owed in state.owed.items() if a not in asked or owed > height}
    return replace(state, owed=left)
