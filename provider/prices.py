"""Sources of prices: a JSON document over HTTP, or a file with one.

The document: ``{"prices": {"0x…": "1.23", …}, "assets": [{"networks": [{"type": "fuel",
"chainId": 9889, "assetId": "0x…", "decimals": 9}]}, …]}``; ``assets`` has the form of Fuel's list
of verified assets and may be left out.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from domain.errors import InvalidValueError, PriceSourceError
from domain.ports import PriceList, PriceSource
from domain.values import parse_asset_id

_SECONDS = 10.0
_MOST_BYTES = 16 * 1024 * 1024


def source_of(place: str) -> PriceSource:
    """Return the source that a setting names: an address, or else the path of a file."""
    if place.startswith(("http://", "https://")):
        return HttpPriceSource(place)
    return FilePriceSource(Path(place))


class FilePriceSource:
    """Prices out of a file, read anew each time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def fetch(self) -> PriceList:
        """Return the file's prices (see `domain.ports.PriceSource`)."""
        try:
            raw = await asyncio.to_thread(self._path.read_bytes)
        except OSError as error:
            raise PriceSourceError(f"PRICE_SOURCE: {error.strerror}: {self._path}") from None
        return parse_price_list(raw)


class HttpPriceSource:
    """Prices out of a document on the web.

    Args:
        url: its address; it may carry credentials and is never repeated in an error.
        transport: replaces the network, for tests.
    """

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url
        self._transport = transport

    async def fetch(self) -> PriceList:
        """Return the document's prices (see `domain.ports.PriceSource`)."""
        try:
            async with (
                asyncio.timeout(_SECONDS),
                httpx.AsyncClient(transport=self._transport, timeout=_SECONDS) as client,
                client.stream("GET", self._url) as answer,
            ):
                answer.raise_for_status()
                return parse_price_list(await _bounded(answer))
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            raise PriceSourceError(f"PRICE_SOURCE: status {status}") from None
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise PriceSourceError(f"PRICE_SOURCE: {type(error).__name__}") from None


async def _bounded(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for part in answer.aiter_bytes():
        body += part
        if len(body) > _MOST_BYTES:
            raise PriceSourceError("PRICE_SOURCE: the document is too large")
    return bytes(body)


def parse_price_list(raw: bytes) -> PriceList:
    """Read the documented JSON.

    Raises:
        PriceSourceError: it is something else, or one of its prices is none: a list that is
            wrong in one place is not to be trusted in the others.
    """
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        raise PriceSourceError("PRICE_SOURCE: not JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("prices"), dict):
        raise PriceSourceError('PRICE_SOURCE: expected {"prices": {…}}')
    prices = {_asset_id(name): _price(name, price) for name, price in found["prices"].items()}
    return PriceList(prices, _assets(found.get("assets", [])))


def _asset_id(name: str) -> str:
    try:
        return parse_asset_id(name)
    except InvalidValueError as error:
        raise PriceSourceError(f"PRICE_SOURCE: {error}") from None


def _price(name: str, price: Any) -> str:
    is_number = isinstance(price, str | int | float) and not isinstance(price, bool)
    try:
        value = float(price) if is_number else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise PriceSourceError(f"PRICE_SOURCE: no price of {name}")
    return str(price)


def _assets(listed: Any) -> Sequence[Mapping[str, object]]:
    if not isinstance(listed, list) or not all(
        isinstance(asset, dict)
        and isinstance(asset.get("networks"), list)
        and all(isinstance(network, dict) for network in asset["networks"])
        for asset in listed
    ):
        raise PriceSourceError("PRICE_SOURCE: assets must be objects with networks")
    return listed
