"""The wallet's dashboard, as its user's browser loads it from the read API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from cli.demo.timeline import Advance
from domain.values import AssetId
from registry.seed import SeededUser

_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class VaultView:
    """What a card of the dashboard shows of one vault."""

    amounts: Mapping[AssetId, int]
    is_fresh: bool


class Dashboard:
    """One API, seen by one user."""

    def __init__(self, origin: str, user: SeededUser) -> None:
        self._predicate_ids = user.predicate_ids
        self._client = httpx.AsyncClient(
            base_url=origin,
            headers={"Authorization": user.token, "signeraddress": user.user_address},
            timeout=_SECONDS,
        )

    async def close(self) -> None:
        """Give the connection back."""
        await self._client.aclose()

    async def load(self, advance: Advance) -> float:
        """Load each vault's card and then the allocation, one after another.

        Returns:
            The seconds that it took.
        """
        started = time.monotonic()
        for place, predicate_id in enumerate(self._predicate_ids, start=1):
            await self.vault(predicate_id)
            advance(place)
        await self._get("/user/allocation")
        advance(len(self._predicate_ids) + 1)
        return time.monotonic() - started

    async def vault(self, predicate_id: str) -> VaultView:
        """Load one vault's card."""
        body = await self._get(f"/predicate/reserved-coins/{predicate_id}")
        amounts = {row["assetId"]: int(row["amount"], 16) for row in body["totalBalance"]}
        return VaultView(amounts, is_fresh=body["freshness"]["state"] == "fresh")

    async def _get(self, path: str) -> Any:
        response = await self._client.get(path)
        response.raise_for_status()
        return response.json()
