"""Where an answer's prices come from: Bako's, remembered for a moment and through an outage."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import structlog

from api.pricing import Pricing, read_prices, read_units
from cache.quotes import Quotes
from domain.errors import CacheUnavailableError
from domain.values import ChainId

_REMEMBERED_SECONDS = 1.0
"""The list of assets is long, and neither it nor the quotes change within a second."""

_log = structlog.get_logger(__name__)


class QuoteSource(Protocol):
    """Bako's quotes and asset maps."""

    async def read(self) -> Quotes:
        """Return what there is now."""
        ...


class OwnPrices(Protocol):
    """The prices that we keep ourselves, where Bako keeps none."""

    async def read(self) -> Quotes:
        """Return what there is now, in the same form."""
        ...


class Prices:
    """Prices for one process. While Redis is away the last known ones go on.

    Args:
        source: Bako's; where it has no prices, or no assets, ours are taken.
        own: ours.
    """

    def __init__(self, source: QuoteSource, own: OwnPrices) -> None:
        self._source = source
        self._own = own
        self._quotes = Quotes()
        self._read_at: float | None = None
        self._by_chain: dict[ChainId, Pricing] = {}
        self._reading = asyncio.Lock()

    async def of_chain(self, chain_id: ChainId) -> Pricing:
        """Return what assets are worth on a chain; empty when nobody has ever told."""
        async with self._reading:
            if self._is_old():
                await self._read()
            if chain_id not in self._by_chain:
                self._by_chain[chain_id] = self._pricing(chain_id)
            return self._by_chain[chain_id]

    async def version(self) -> str:
        """Return the version of what every chain's prices are made of now."""
        if self._is_old():
            async with self._reading:
                if self._is_old():
                    await self._read()
        return self._quotes.version

    def version_now(self) -> str | None:
        """Return the same without waiting; None: it must be read anew."""
        return None if self._is_old() else self._quotes.version

    def _is_old(self) -> bool:
        return self._read_at is None or time.monotonic() - self._read_at > _REMEMBERED_SECONDS

    async def _read(self) -> None:
        try:
            quotes = await self._source.read()
            if not quotes.prices or not quotes.asset_maps:
                quotes = _completed(quotes, await self._own.read())
        except CacheUnavailableError:
            _log.warning("quotes_unavailable", known=len(self._quotes.prices))
            return
        self._read_at = time.monotonic()
        if quotes.version != self._quotes.version:
            self._quotes = quotes
            self._by_chain.clear()

    def _pricing(self, chain_id: ChainId) -> Pricing:
        by_id = self._quotes.asset_maps.get("assetsMapById")
        return Pricing(
            prices=read_prices(self._quotes.prices),
            units=read_units(self._quotes.asset_maps.get("fuelAssetsList"), chain_id),
            verified=frozenset(by_id if isinstance(by_id, dict) else ()),
            as_of_ms=self._quotes.as_of_ms,
            version=self._quotes.version,
        )


def _completed(quotes: Quotes, own: Quotes) -> Quotes:
    """Fill in from ours what Bako has not."""
    has_prices = bool(quotes.prices)
    return Quotes(
        prices=quotes.prices or own.prices,
        asset_maps=quotes.asset_maps or own.asset_maps,
        as_of_ms=quotes.as_of_ms if has_prices else own.as_of_ms,
        version=f"{quotes.version}+{own.version}",
    )
