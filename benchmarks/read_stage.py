"""What the read path's benchmarks play on: a user with ten vaults, and all that serves him."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis

from config.settings import Settings
from devnet.chain import AccountBalance
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.networks import Network
from registry.seed import SeededUser, seed_user
from registry.store import Registry
from runtime.assembly import Runtime
from supervisor.valkey import EmbeddedServer

CHAIN = 9889
VAULTS = 10
ASSETS = 20


@dataclass
class Stage:
    """A user with ten vaults, and all that serves him."""

    user: SeededUser
    headers: dict[str, str]
    redis: Redis
    redis_server: EmbeddedServer
    node: DevnetServer
    runtime: Runtime
    environment: dict[str, str]


@asynccontextmanager
async def stage_in(folder: str) -> AsyncIterator[Stage]:
    """Set it up in a folder, and take it down again."""
    redis_server = EmbeddedServer.start()
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=CHAIN)) as node:
        database_url = f"sqlite:///{folder}/bako.sqlite3"
        network = Network(CHAIN, "mainnet", (node.url,))
        registry = Registry.open(database_url)
        await registry.create_schema()
        await registry.close()
        user = await seed_user(database_url, network, predicates=VAULTS)
        assets = [f"0x{number:064x}" for number in range(1, ASSETS + 1)]
        node.chain.set_balances(
            AccountBalance(address, asset, 10**9 + n)
            for address in user.addresses
            for n, asset in enumerate(assets)
        )
        redis = Redis.from_url(redis_server.url())
        await _write_bakos_keys(redis, user, network, assets)
        environment = {
            "REDIS_URL": redis_server.url(),
            "DATABASE_URL": database_url,
            "FUEL_NETWORKS": json.dumps(
                [{"chainId": CHAIN, "name": "mainnet", "urls": [node.url]}]
            ),
            "LOG_LEVEL": "ERROR",
            "BALANCE_CACHE_TTL": "3600",  # nobody refreshes: nothing may become due meanwhile
        }
        settings = Settings(
            REDIS_URL=redis_server.url(), database_url=database_url, fuel_networks=(network,)
        )
        runtime = await Runtime.open(settings)
        headers = {"Authorization": user.token, "signeraddress": user.user_address}
        try:
            yield Stage(user, headers, redis, redis_server, node, runtime, environment)
        finally:
            await runtime.close()
            await redis.aclose()
            redis_server.stop()


async def _write_bakos_keys(
    redis: Redis, user: SeededUser, network: Network, assets: Sequence[str]
) -> None:
    session = {
        "user_id": user.user_id,
        "address": user.user_address,
        "expired_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        "network": {"url": network.public_url, "chainId": CHAIN},
    }
    await redis.set(f"session-{user.token}", json.dumps(session), ex=2400)
    await redis.hset("quotes", mapping=dict.fromkeys(assets, "1.25"))
    await redis.expire("quotes", 2400)
