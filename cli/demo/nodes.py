"""The simulated nodes, from their administrator's side: accounts, transfers, request counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from domain.values import Address, AssetId, BlockHeight, ChainId

_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A transaction that is in a block."""

    transaction_id: str
    block_height: BlockHeight


class SimulatedNode:
    """One simulated node."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._client = httpx.AsyncClient(base_url=f"{origin}/devnet/", timeout=_SECONDS)

    async def close(self) -> None:
        """Give the connection back."""
        await self._client.aclose()

    async def give(self, holdings: Mapping[Address, Sequence[tuple[AssetId, int]]]) -> None:
        """Give coins to accounts, as if they had always been there."""
        rows = [
            {"owner": owner, "assetId": asset_id, "amount": str(amount)}
            for owner, coins in holdings.items()
            for asset_id, amount in coins
        ]
        await self._post("accounts", {"balances": rows})

    async def transfer(
        self, sender: Address, receiver: Address, asset_id: AssetId, amount: int
    ) -> Confirmed:
        """Make a transaction between two accounts that is confirmed when this returns."""
        body = {"from": sender, "to": receiver, "assetId": asset_id, "amount": str(amount)}
        answer = await self._post("transfer", body)
        return Confirmed(answer["transactionId"], int(answer["blockHeight"]))

    async def chain_id(self) -> ChainId:
        """Return which chain the node simulates."""
        response = await self._client.get("state")
        response.raise_for_status()
        return int(response.json()["chainId"])

    async def requests(self) -> int:
        """Return how many GraphQL requests the node has got so far."""
        response = await self._client.get("state")
        response.raise_for_status()
        return int(response.json()["requests"]["graphql"])

    async def _post(self, path: str, body: Mapping[str, object]) -> Any:
        response = await self._client.post(path, json=body)
        response.raise_for_status()
        return response.json()


async def total_requests(nodes: Iterable[SimulatedNode]) -> int:
    """Return how many GraphQL requests all nodes have got so far."""
    return sum([await node.requests() for node in nodes])
