"""A Bako deployment without us: its Redis, its tables, its node, and its own code.

Its reading and writing is done by the scripts in Node, with the client and the libraries that it
uses; the simulated node is asked as its SDK asks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from redis.asyncio import Redis

from devnet.chain import AccountBalance
from devnet.server import DevnetServer
from tests import bako_node
from tests.databases import NETWORK_URL, BakoDatabase, BakoUser, bytes32, coin

CHAIN_ID = 9889
ETH, USDC, NFT = ("0x" + byte * 32 for byte in ("f8", "28", "cc"))

_QUOTES = {ETH: "3123.45", USDC: "0.9998"}
_UNITS = {ETH: 9, USDC: 6}
_BALANCES = """query getBalances($filter: BalanceFilterInput!, $first: Int) {
  balances(filter: $filter, first: $first) { edges { node { assetId amountU128 } } }
}"""


@dataclass
class BakoVault:
    """A row of `predicates`, and the drafts that wait on it."""

    predicate_id: str
    address: str
    drafts: list[list[dict[str, Any]]] = field(default_factory=list)


@dataclass
class Bako:
    """Bako's API as it is without us: its Redis, its tables, its node."""

    redis: Redis
    redis_url: str
    database: BakoDatabase
    node: DevnetServer
    user: BakoUser = field(default_factory=BakoUser)

    async def begin(self) -> None:
        """Keep prices, the list of assets and one signed-in user, as Bako does."""
        self.user = await self.database.add_user()
        await self.database.add_token(self.user)
        await self.redis.hset("quotes", items=[text for pair in _QUOTES.items() for text in pair])
        await self.redis.expire("quotes", 2400)
        await self.redis.set("assets:maps", json.dumps(self._asset_maps()), ex=3600)
        expires = datetime.now(UTC) + timedelta(hours=1)
        session = {
            "accessToken": self.user.token,
            "expired_at": expires.isoformat().replace("+00:00", "Z"),
            "user_id": self.user.user_id,
            "address": self.user.address,
            "network": {"url": NETWORK_URL, "chainId": CHAIN_ID},
        }
        await self.redis.set(f"session-{self.user.token}", json.dumps(session), ex=2400)

    async def add_vault(self, amounts: Mapping[str, int], reserved: int = 0) -> BakoVault:
        address = bytes32()
        vault = BakoVault(
            await self.database.add_predicate(self.user, predicate_address=address), address
        )
        self.node.chain.set_balances(AccountBalance(address, a, n) for a, n in amounts.items())
        if reserved:
            vault.drafts.append([coin(ETH, hex(reserved))])
            await self.database.add_transaction(vault.predicate_id, vault.drafts[-1])
        return vault

    def pay(self, vault: BakoVault, amount: int) -> int:
        """Have a transaction confirmed that pays into a vault; return its block height."""
        return self.node.chain.transfer(None, vault.address, ETH, amount).block_height

    async def cached(self, vault: BakoVault) -> list[dict[str, str]] | None:
        """Return what Bako's code finds in its cache; None: a miss."""
        [found] = await self._cache(self._step("get", vault))
        return None if found is None else found["balances"]

    async def transactions_are_marked(self, vault: BakoVault) -> bool:
        [marked] = await self._cache(self._step("needsTransactions", vault))
        return bool(marked)

    async def invalidate(self, vault: BakoVault) -> None:
        await self._cache(self._step("invalidate", vault))

    async def answers(self, vaults: Sequence[BakoVault]) -> list[dict[str, Any]]:
        """Answer for each vault what Bako's `/predicate/reserved-coins/{id}` does."""
        held = [await self._balances(vault) for vault in vaults]
        maps = self._asset_maps()
        cases = [
            {
                "kind": "vault",
                "balances": balances,
                "drafts": [{"outputs": outputs} for outputs in vault.drafts],
                "quotes": _QUOTES,
                "assets": maps["fuelAssetsList"],
                "verified": maps["assetsMapById"],
                "chainId": CHAIN_ID,
            }
            for vault, balances in zip(vaults, held, strict=True)
        ]
        answers: list[dict[str, Any]] = await asyncio.to_thread(
            bako_node.run, "arithmetic.mjs", cases
        )
        return answers

    async def spread(self, answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Spread the money of vaults over assets as Bako's allocation does."""
        vaults = [
            [
                {
                    "asset": held["assetId"],
                    "amount": held["amount"],
                    "units": _UNITS.get(held["assetId"], 8),
                    "price": float(_QUOTES.get(held["assetId"], 0)),
                }
                for held in answer["currentBalance"]
            ]
            for answer in answers
        ]
        case = {"kind": "spread", "vaults": vaults}
        [spread] = await asyncio.to_thread(bako_node.run, "arithmetic.mjs", [case])
        found: dict[str, Any] = spread
        return found

    async def dump(self) -> dict[bytes, bytes | None]:
        """Return every key of Bako's Redis with its value."""
        keys = sorted([key async for key in self.redis.scan_iter(count=1000)])
        assert len(keys) == await self.redis.dbsize()
        return {key: await self.redis.dump(key) for key in keys}

    async def _balances(self, vault: BakoVault) -> list[dict[str, str]]:
        known = await self.cached(vault)
        if known is not None:
            return known
        fetched = await self._ask_node(vault.address)
        await self._cache(
            {**self._step("set", vault), "balances": fetched, "networkUrl": NETWORK_URL}
        )
        return fetched

    async def _ask_node(self, owner: str) -> list[dict[str, str]]:
        asked = {"query": _BALANCES, "variables": {"filter": {"owner": owner}, "first": 100}}
        async with httpx.AsyncClient() as client:
            answer = (await client.post(self.node.url, json=asked)).json()
        rows = [edge["node"] for edge in answer["data"]["balances"]["edges"]]
        return [{"assetId": r["assetId"], "amount": hex(int(r["amountU128"]))} for r in rows]

    async def _cache(self, *steps: dict[str, Any]) -> list[Any]:
        found: list[Any] = await asyncio.to_thread(
            bako_node.run, "balance_cache.mjs", list(steps), CHECK_REDIS_URL=self.redis_url
        )
        return found

    @staticmethod
    def _step(action: str, vault: BakoVault) -> dict[str, Any]:
        return {"do": action, "address": vault.address, "chainId": CHAIN_ID}

    @staticmethod
    def _asset_maps() -> dict[str, Any]:
        listed = [
            {
                "name": asset_id,
                "networks": [
                    {"type": "fuel", "chainId": CHAIN_ID, "assetId": asset_id, "decimals": units}
                ],
            }
            for asset_id, units in _UNITS.items()
        ]
        return {"fuelAssetsList": listed, "assetsMapById": {a: {"symbol": "X"} for a in _UNITS}}
