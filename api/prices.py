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

_QUOTES_LIFE_SECONDS = 2_400
"""The life that Bako gives its quotes at each refresh; what is missing to it is their age."""

_REMEMBERED_SECONDS = 1.0
"""The list of assets is long, and neither it nor the quotes change within a second."""

_log = structlog.get_logger(__name__)


class QuoteSource(Protocol):
    """Bako's quotes and asset maps."""

    async def read(self) -> Quotes:
        """Return what there is now."""
        ...


class Prices:
    """Prices for one process. While Redis is away the last known ones go on, ageing."""

    def __init__(self, source: QuoteSource) -> None:
        self._source = source
        self._quotes = Quotes()
        self._read_at: float | None = None
        self._by_chain: dict[ChainId, Pricing] = {}
        self._reading = asyncio.Lock()

    async def of_chain(self, chain_id: ChainId) -> Pricing:
        """Return what assets are worth on a chain; empty when nobody has ever told."""
        async with self._reading:
            if self._read_at is None or time.monotonic() - self._read_at > _REMEMBERED_SECONDS:
                await self._read()
            if chain_id not in self._by_chain:
                self._by_chain[chain_id] = self._pricing(chain_id)
            return self._by_chain[chain_id]

    async def _read(self) -> None:
        try:
            self._quotes = await self._source.read()
        except CacheUnavailableError:
            _log.warning("quotes_unavailable", known=len(self._quotes.prices))
            return
        self._read_at = time.monotonic()
        self._by_chain.clear()

    def _pricing(self, chain_id: ChainId) -> Pricing:
        quotes = self._quotes
        by_id = quotes.asset_maps.get("assetsMapById")
        left = quotes.expires_in_seconds
        return Pricing(
            prices=read_prices(quotes.prices),
            units=read_units(quotes.asset_maps.get("fuelAssetsList"), chain_id),
            verified=frozenset(by_id if isinstance(by_id, dict) else ()),
            age_seconds=None if left is None else max(0.0, _QUOTES_LIFE_SECONDS - left),
        )
