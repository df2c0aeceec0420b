"""The adoption guide, walked from its start to its end, and back once in each step.

What is typed is what stands in `docs/adoption.md`. Bako's tables are its own schema, its reading
and writing code runs in Node, in a Redis of its own with sessions, prices and balances.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from supervisor.valkey import EmbeddedServer
from tests import bako_node
from tests.adoption_support import KEY, Ours, eventually, stopping
from tests.bako_support import CHAIN_ID, ETH, NFT, USDC, Bako, BakoVault
from tests.conftest import require
from tests.databases import BakoDatabase, create_schema, fresh_postgres, postgres_answers

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]


@dataclass
class Walk:
    """What every step works with."""

    bako: Bako
    ours: Ours
    vaults: list[BakoVault]

    @property
    def savings(self) -> BakoVault:
        return self.vaults[0]

    @property
    def salary(self) -> BakoVault:
        return self.vaults[1]

    @property
    def headers(self) -> dict[str, str]:
        user = self.bako.user
        return {"Authorization": user.token, "signeraddress": user.address}

    async def read(self, vault: BakoVault) -> dict[str, Any]:
        """Read a vault from our API, as the signed-in user."""
        return await self.ours.get(f"/predicate/reserved-coins/{vault.predicate_id}", self.headers)

    async def eth(self, vault: BakoVault) -> int:
        """Return what our API says a vault holds; it must be called fresh."""
        answer = await self.read(vault)
        assert answer["freshness"]["state"] == "fresh", answer["freshness"]
        return held(answer["totalBalance"])

    async def bako_has(self, vault: BakoVault, amount: int) -> None:
        """Wait until Bako's own code finds an amount in its cache."""

        async def found() -> bool:
            balances = await self.bako.cached(vault)
            return balances is not None and held(balances) == amount

        await eventually(found, f"Bako finds {amount}", pause_seconds=0.5)

    async def told(self, vault: BakoVault, height: int) -> None:
        """Tell of a confirmed transaction, as the guide says."""
        await self.ours.type("adoption, transaction", HEIGHT=str(height), VAULT=vault.address)

    async def stats(self) -> dict[str, Any]:
        said = json.loads(await self.ours.type("adoption, watch"))
        found: dict[str, Any] = said["data"]
        return found

    async def followed(self) -> None:
        """Wait until somebody stands at the tip of the chain."""
        lag = f'balance_cache_follower_lag_blocks{{chain_id="{CHAIN_ID}"}}'

        async def stands() -> bool:
            return await self.ours.metric(lag) == 0

        await eventually(stands, "the chain is followed")


def held(balances: list[dict[str, Any]]) -> int:
    """Return how much of the base asset a list of balances has."""
    return sum(int(one["amount"], 16) for one in balances if one["assetId"] == ETH)


@pytest.fixture
async def walk(tmp_path: Path) -> AsyncIterator[Walk]:
    require(await postgres_answers(), "PostgreSQL")
    bako_node.install()
    servers = [EmbeddedServer.start() for _ in range(2)]
    redis = Redis.from_url(servers[0].url())
    try:
        async with fresh_postgres() as database_url:
            await create_schema(database_url)
            with DevnetServer(DevnetOptions(port=0, block_seconds=0, chain_id=CHAIN_ID)) as node:
                node.chain.produce_blocks(3)
                database = BakoDatabase(database_url)
                bako = Bako(redis, servers[0].url(), database, node)
                networks = [{"chainId": CHAIN_ID, "name": "mainnet", "urls": [node.url]}]
                ours = Ours(
                    tmp_path,
                    BAKO_REDIS=servers[0].url(),
                    OUR_REDIS=servers[1].url(),
                    CELERY_BROKER_URL=servers[1].url(1),
                    DATABASE_URL=database_url,
                    FUEL_NETWORKS=json.dumps(networks),
                    INTERNAL_API_KEY=KEY,
                    INTERNAL_RATE_LIMIT="10000",
                    AUDIT_INTERVAL_SECONDS="2",
                    AUDIT_GRACE_SECONDS="1",
                )
                async with stopping(ours):
                    await bako.begin()
                    savings = await bako.add_vault({ETH: 5_000, USDC: 777_777, NFT: 1}, 1_000)
                    yield Walk(bako, ours, [savings, await bako.add_vault({ETH: 9_000})])
                await database.close()
    finally:
        await redis.aclose()
        for server in servers:
            server.stop()


async def test_a_cautious_team_walks_the_four_steps_and_back(walk: Walk) -> None:
    before = await tables(walk)
    await walk.ours.type("adoption, before")
    await shadow(walk)
    await read_from_redis(walk)
    await read_from_the_api(walk)
    await drop_the_old_path(walk)
    await leave(walk, before)


async def shadow(walk: Walk) -> None:
    """Step 1: compared and counted; Bako's Redis stays as it is."""
    bako, ours = walk.bako, walk.ours
    served = await bako.answers(walk.vaults)
    bako.pay(walk.salary, 1)  # a deposit that nobody announces: Bako's value is old from here on
    untouched = await bako.dump()
    await ours.type("adoption, shadow")
    await ours.restart()
    await walk.followed()

    mirrored = [await walk.read(vault) for vault in walk.vaults]
    whose = f"chainId={CHAIN_ID}&userId={bako.user.user_id}"
    allocation = await ours.get(f"/user/allocation?{whose}", {"X-API-Key": KEY})

    # The token came from the table; prices and the list of assets are in Bako's Redis.
    assert mirrored[0]["totalBalance"] == served[0]["totalBalance"]
    assert mirrored[0]["reservedCoins"] == served[0]["reservedCoins"]
    assert mirrored[0]["unpricedAssets"] == sorted([ETH, USDC, NFT])
    assert allocation["totalAmountInUSD"] == 0
    assert allocation["totalWorthInUSD"] is None

    async def compared() -> bool:
        return int((await walk.stats())["shadow"]["bakoSamples"]) >= len(walk.vaults)

    await eventually(compared, "both vaults are compared")
    counts = (await walk.stats())["shadow"]
    assert (counts["contradicted"], counts["outdated"], counts["dropped"]) == (0, 0, 0)
    assert counts["bakoDiffers"] >= 1
    lines = [line for line in ours.log("api").splitlines() if "shadow.differs_from_bako" in line]
    told = [json.loads(line) for line in lines]
    assert {entry["address"] for entry in told} == {walk.salary.address}
    assert told[0]["ours"] == {ETH: 9_001}
    assert told[0]["bako"] == {ETH: 9_000}
    assert told[0]["node_agrees_with_us"] is True

    bako.pay(walk.savings, 1)  # the follower finds it, for us alone

    async def found() -> bool:
        return held((await walk.read(walk.savings))["totalBalance"]) == 5_001

    await eventually(found, "our answer has the deposit")
    assert await bako.dump() == untouched

    ours.stop()  # back
    assert await bako.answers(walk.vaults) == served
    assert await bako.dump() == untouched


async def read_from_redis(walk: Walk) -> None:
    """Step 2: Bako's own code meets what we wrote."""
    bako, ours = walk.bako, walk.ours
    await ours.type("adoption, redis")
    await ours.restart()
    await walk.followed()
    await ours.type("adoption, redis, anew")

    async def declared() -> bool:
        return [await bako.cached(vault) for vault in walk.vaults] == [None, None]

    await eventually(declared, "what Bako wrote before is declared wrong")
    await ours.type("adoption, login", USER_ID=bako.user.user_id)
    await walk.bako_has(walk.salary, 9_001)
    await walk.bako_has(walk.savings, 5_001)

    await walk.told(walk.savings, bako.pay(walk.savings, 1))
    await walk.bako_has(walk.savings, 5_002)
    assert await bako.transactions_are_marked(walk.savings)
    assert (await walk.stats())["shadow"]["bakoSamples"] == 0

    ours.stop()  # back
    assert [held(a["totalBalance"]) for a in await bako.answers(walk.vaults)] == [5_002, 9_001]
    bako.pay(walk.salary, 1)
    await bako.invalidate(walk.salary)  # Bako's own, while we are away
    bako.pay(walk.savings, 1)  # and one that nobody announces

    await ours.type("adoption, api")
    await ours.restart()  # on again, and a step further: nothing of before is taken for right
    assert await walk.eth(walk.salary) == 9_002
    await walk.bako_has(walk.savings, 5_003)
    assert await walk.eth(walk.savings) == 5_003


async def read_from_the_api(walk: Walk) -> None:
    """Step 3: the gateway asks us, and gets what Bako answers."""
    bako, ours = walk.bako, walk.ours
    await equal(walk)

    # Routed back; a transaction is confirmed meanwhile.
    await walk.told(walk.salary, bako.pay(walk.salary, 1))
    await walk.bako_has(walk.salary, 9_003)
    assert [held(a["totalBalance"]) for a in await bako.answers(walk.vaults)] == [5_003, 9_003]
    await equal(walk)

    # Routed here, and the cache switched off; a transaction is confirmed meanwhile.
    await ours.type("adoption, api, off")
    await ours.restart()
    assert {(await walk.read(v))["freshness"]["source"] for v in walk.vaults} == {"node"}
    await walk.told(walk.savings, bako.pay(walk.savings, 1))
    assert await bako.cached(walk.savings) is None, "Bako sees the invalidation too"
    assert await walk.eth(walk.savings) == 5_004
    await ours.type("adoption, api, on")
    await ours.restart()
    assert await walk.eth(walk.savings) == 5_004
    await equal(walk)


async def equal(walk: Walk) -> None:
    """Compare all that a client of Bako's sees, bit for bit."""
    bakos = await walk.bako.answers(walk.vaults)
    ours = [await walk.read(vault) for vault in walk.vaults]
    for mine, theirs in zip(ours, bakos, strict=True):
        assert {name: mine[name] for name in theirs} == theirs
        assert mine["freshness"]["state"] == "fresh"
    assert bakos[0]["nfts"] == [{"assetId": NFT, "amount": "0x1"}]
    assert held(bakos[0]["reservedCoins"]) == 1_000

    by_id = sorted(zip(walk.vaults, bakos, strict=True), key=lambda pair: pair[0].predicate_id)
    spread = await walk.bako.spread([answer for _, answer in by_id])
    allocation = await walk.ours.get("/user/allocation", walk.headers)
    assert allocation["totalAmountInUSD"] == spread["total"] > 0
    assert [
        {
            "asset": row["assetId"],
            "usd": row["amountInUSD"],
            "amount": row["amount"],
            "share": row["percentage"],
        }
        for row in allocation["data"]
    ] == spread["rows"]


async def drop_the_old_path(walk: Walk) -> None:
    """Step 4: Bako warms, polls and invalidates no more; only we are told."""
    bako, ours = walk.bako, walk.ours
    await walk.followed()
    new = await bako.add_vault({ETH: 100})
    walk.vaults.append(new)

    await ours.type("adoption, login", USER_ID=bako.user.user_id)
    await walk.bako_has(new, 100)
    await walk.told(walk.savings, bako.pay(walk.savings, 1))
    await walk.bako_has(walk.savings, 5_005)
    assert await bako.transactions_are_marked(walk.savings)
    bako.pay(walk.salary, 1)  # what check-balances was for
    await walk.bako_has(walk.salary, 9_004)
    await equal(walk)

    async def audited() -> bool:
        return int((await walk.stats())["audit"]["samples"]) > 0

    await eventually(audited, "the auditor has compared")
    audit = (await walk.stats())["audit"]
    assert (audit["contradicted"], audit["outdated"]) == (0, 0)

    bako.pay(walk.salary, 1)
    await bako.invalidate(walk.salary)  # back: Bako invalidates again, beside us
    assert await walk.eth(walk.salary) == 9_005
    await equal(walk)


async def leave(walk: Walk, before: set[str]) -> None:
    """Everything can be taken back, and what is left in Bako's Redis ends by itself."""
    walk.ours.stop()
    await walk.ours.type("adoption, before, back")
    assert await tables(walk) - before == {"balance_cache_bako_version"}
    lives = {
        key: await walk.bako.redis.ttl(key)
        async for key in walk.bako.redis.scan_iter(match="b*", count=1000)
    }
    assert any(key.startswith(b"bc:") for key in lives)
    assert {key: life for key, life in lives.items() if life < 0} == {}
    answers = await walk.bako.answers(walk.vaults)
    assert [held(answer["totalBalance"]) for answer in answers] == [5_005, 9_005, 100]


async def tables(walk: Walk) -> set[str]:
    statement = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    async with walk.bako.database.engine.connect() as connection:
        return set((await connection.execute(text(statement))).scalars())
