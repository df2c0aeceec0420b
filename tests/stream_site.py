"""A served world and a user whose vaults are streamed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.api_support import CHAIN_ID, ETH, World
from tests.databases import BakoUser
from tests.stream_support import amount_of


@dataclass
class Site:
    """A served world and a user with two vaults."""

    world: World
    url: str
    user: BakoUser
    headers: dict[str, str]
    vaults: dict[str, str]

    @property
    def first(self) -> tuple[str, str]:
        return next(iter(self.vaults.items()))

    async def change(self, address: str, amount: int) -> None:
        """Let a vault hold something else, and say so as an indexer does; a read refills."""
        self.world.give(address, {ETH: amount})
        await self.invalidate(address)
        await self.world.get("/user/allocation", self.headers)

    async def invalidate(self, address: str) -> None:
        body = {"predicateAddress": address, "chainId": CHAIN_ID}
        answer = await self.world.internal("/cache/invalidate", body)
        assert answer.status_code == 200, answer.text


def of(predicate_id: str, amount: int | None, state: str = "fresh") -> Callable[[Any], bool]:
    """Match the balances of a vault."""

    def matches(data: Any) -> bool:
        right = data["predicateId"] == predicate_id and amount_of(data, ETH) == amount
        return right and data["freshness"]["state"] == state

    return matches
