"""Prices that we keep ourselves, where Bako keeps none. Bako's own keys are never written.

Key: ``bc:quotes`` (string, JSON, life a day): the prices and assets of the configured source.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from cache.commands import Commands
from cache.quotes import Quotes, version_of
from domain.ports import PriceList

OWN_QUOTES = "bc:quotes"
_LIFE_SECONDS = 86_400


class PriceStore:
    """Keeps the last prices of our source, and hands them out in the form of Bako's."""

    def __init__(self, client: Redis) -> None:
        self._commands = Commands(client)

    async def write(self, found: PriceList) -> None:
        """Keep these prices instead of the ones before.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        text = json.dumps(
            {"prices": dict(found.prices), "assets": [dict(asset) for asset in found.assets]},
            separators=(",", ":"),
        )
        await self._commands.batch([("SET", OWN_QUOTES, text, "EX", _LIFE_SECONDS)])

    async def age_seconds(self) -> float | None:
        """Return how old the kept prices are; None when there are none.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        [left_ms] = await self._commands.batch([("PTTL", OWN_QUOTES)])
        return None if int(left_ms) < 0 else _LIFE_SECONDS - int(left_ms) / 1000

    async def read(self) -> Quotes:
        """Return the kept prices; empty when there are none.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        raw, ends_ms = await self._commands.batch(
            [("GET", OWN_QUOTES), ("PEXPIRETIME", OWN_QUOTES)]
        )
        if not isinstance(raw, bytes):
            return Quotes()
        kept = json.loads(raw)
        return Quotes(
            prices=kept["prices"],
            asset_maps=_asset_maps(kept["assets"]),
            as_of_ms=int(ends_ms) - _LIFE_SECONDS * 1000,
            version=version_of(raw, str(ends_ms).encode()),
        )


def _asset_maps(assets: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the list in the form of ``assets:maps``: the list itself, and who is on it."""
    if not assets:
        return {}
    networks = [n for asset in assets for n in asset["networks"] if n.get("type") == "fuel"]
    return {
        "fuelAssetsList": list(assets),
        "assetsMapById": {n["assetId"]: {} for n in networks if "assetId" in n},
    }
