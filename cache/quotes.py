"""Bako's prices and verified assets, read as Bako's TypeScript writes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from cache.commands import Commands
from cache.keys import ASSET_MAPS, QUOTES

QUOTES_LIFE_SECONDS = 2_400
"""The life that Bako gives its quotes at each refresh; its end tells when that was."""


@dataclass(frozen=True, slots=True)
class Quotes:
    """What is known about the worth of assets.

    Attributes:
        prices: asset id to dollars for one whole unit, as a decimal text; no entry: unknown.
        asset_maps: the JSON of ``assets:maps`` (``fuelAssetsList``, ``assetsMapById``, …); empty
            when it is absent or unreadable.
        as_of_ms: when the prices were fetched, by Redis's clock; None when there are none or
            nobody can tell.
        version: the same for the same content, in every process.
    """

    prices: Mapping[str, str] = field(default_factory=dict)
    asset_maps: Mapping[str, Any] = field(default_factory=dict)
    as_of_ms: int | None = None
    version: str = field(default="", compare=False)


class QuoteStore:
    """Reads prices and assets in one round trip. Both are Bako's: nothing here writes them."""

    def __init__(self, client: Redis) -> None:
        self._commands = Commands(client)
        self._assets: tuple[bytes, Mapping[str, Any]] = (b"", {})

    async def read(self) -> Quotes:
        """Return prices and assets; what is absent or damaged is empty, never a guess.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        prices, assets, ends_ms = await self._commands.batch(
            [("HGETALL", QUOTES), ("GET", ASSET_MAPS), ("PEXPIRETIME", QUOTES)]
        )
        fields = sorted(prices.items()) if isinstance(prices, dict) else []
        raw = assets if isinstance(assets, bytes) else b""
        as_of_ms = ends_ms - QUOTES_LIFE_SECONDS * 1000 if fields and ends_ms >= 0 else None
        return Quotes(
            prices={_text(name): _text(value) for name, value in fields},
            asset_maps=self._parsed(raw),
            as_of_ms=as_of_ms,
            version=version_of(repr(fields).encode(), raw, str(as_of_ms).encode()),
        )

    def _parsed(self, raw: bytes) -> Mapping[str, Any]:
        """Parse the list of assets, which is long and seldom another one than before."""
        if raw != self._assets[0]:
            self._assets = (raw, _object(raw))
        return self._assets[1]


def version_of(*parts: bytes) -> str:
    """Return a short name for a content: the same for the same one, in every process."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.hexdigest()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
