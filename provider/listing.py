"""A guard against lists that a node cut short without saying so.

A node that meets a storage error while it lists balances ends the list there and reports no error
(fuel-core 0.47.1, `take_while` over the rows). A node with an index never drops a row, though: an
asset that was owned once stays listed, with amount 0. So a list with fewer assets than we have
seen before is not believed. The base asset does not count: it is listed only while it is owned.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from domain.errors import TransientProviderError
from domain.values import Address, AssetId

REMEMBERED = 100_000
"""Vaults; about 20 MB."""

DOUBT_SECONDS = 600.0
"""After so long without a list as long as before, the chain must be another: believe it."""


class ListedAssets:
    """How many assets besides the base asset each vault was listed with."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[Address, tuple[int, float]] = OrderedDict()

    def check(self, address: Address, listed: Iterable[AssetId], base_asset_id: AssetId) -> None:
        """Take note of a complete list.

        Raises:
            TransientProviderError: it is shorter than before.
        """
        count = sum(asset_id != base_asset_id for asset_id in listed)
        known, confirmed_at = self._seen.get(address, (0, 0.0))
        if count < known and self._clock() - confirmed_at < DOUBT_SECONDS:
            raise TransientProviderError(
                f"the node lists {count} assets of {address} and listed {known} before"
            )
        self._seen[address] = (count, self._clock())
        self._seen.move_to_end(address)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
