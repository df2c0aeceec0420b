"""Bako's prices and verified assets, read as Bako's TypeScript writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from cache.commands import Commands
from cache.keys import ASSET_MAPS, QUOTES


@dataclass(frozen=True, slots=True)
class Quotes:
    """What Bako knows about the worth of assets.

    Attributes:
        prices: asset id to dollars for one whole unit, as a decimal text; no entry: unknown.
        asset_maps: the JSON of ``assets:maps`` (``fuelAssetsList``, ``assetsMapById``, …); empty
            when it is absent or unreadable.
        expires_in_seconds: when Bako's prices end; None when there are none or they do not end.
            Bako sets 2400 s at each refresh, so that what is missing to that is their age.
    """

    prices: Mapping[str, str] = field(default_factory=dict)
    asset_maps: Mapping[str, Any] = field(default_factory=dict)
    expires_in_seconds: float | None = None


class QuoteStore:
    """Reads prices and assets in one round trip. Both are Bako's: nothing here writes them."""

    def __init__(self, client: Redis) -> None:
        self._commands = Commands(client)

    async def read(self) -> Quotes:
        """Return prices and assets; what is absent or damaged is empty, never a guess.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        prices, assets, left_ms = await self._commands.batch(
            [("HGETALL", QUOTES), ("GET", ASSET_MAPS), ("PTTL", QUOTES)]
        )
        return Quotes(_texts(prices), _object(assets), left_ms / 1000 if left_ms >= 0 else None)


def _texts(fields: Any) -> dict[str, str]:
    if not isinstance(fields, dict):
        return {}
    return {
        name.decode("utf-8", "replace"): value.decode("utf-8", "replace")
        for name, value in fields.items()
    }


def _object(raw: Any) -> dict[str, Any]:
    if raw is None or isinstance(raw, ResponseError):
        return {}
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
