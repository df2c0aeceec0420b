"""The API on real parts: its own cache server, database and simulated node."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from redis.asyncio import Redis

from api.app import create_app
from api.demo.routes import Payer
from api.server import listen
from config.settings import Settings
from devnet.chain import AccountBalance
from devnet.server import DevnetServer
from domain.errors import PublishingError
from domain.networks import Network
from domain.ports import TaskPublisher
from domain.values import ChainId
from supervisor.waiting import wait_until
from tasks.logins import Logins
from tests.databases import BakoDatabase, BakoUser, create_schema

CHAIN_ID = 9889
ETH = "0x" + "f8" * 32
USDC = "0x" + "28" * 32
FUEL = "0x" + "1d" * 32
OTHER = "0x" + "aa" * 32
LAST = "0x" + "bb" * 32
NFT = "0x" + "cc" * 32
KEY = "internal-key-of-the-tests"


@dataclass
class Published:
    name: str
    args: list[object]
    queue: str
    expires: float | None


@dataclass
class RecordingPublisher:
    """A broker that takes tasks, or does not."""

    sent: list[Published] = field(default_factory=list)
    is_down: bool = False

    async def send(
        self, name: str, args: Sequence[object], *, queue: str, expires: float | None = None
    ) -> str:
        if self.is_down:
            raise PublishingError("the broker is gone")
        json.dumps(list(args))
        self.sent.append(Published(name, list(args), queue, expires))
        return str(uuid4())

    async def warm_user(self, user_id: str, chain_id: ChainId | None = None) -> str:
        return await Logins(self.send).warm(user_id, chain_id)


@dataclass
class World:
    """What a test can touch."""

    settings: Settings
    database: BakoDatabase
    redis: Redis
    node: DevnetServer
    publisher: RecordingPublisher
    client: httpx.AsyncClient

    def give(self, owner: str, amounts: Mapping[str, int]) -> None:
        self.node.chain.set_balances(
            AccountBalance(owner, asset_id, amount) for asset_id, amount in amounts.items()
        )

    async def sign_in(self, user: BakoUser, **changes: Any) -> dict[str, str]:
        """Write the session as Bako does and return the headers of its client."""
        expires = datetime.now(UTC) + timedelta(hours=1)
        session = {
            "accessToken": user.token,
            "expired_at": expires.isoformat().replace("+00:00", "Z"),
            "user_id": user.user_id,
            "address": user.address,
            "network": {"url": self.network_url, "chainId": CHAIN_ID},
        }
        await self.redis.set(f"session-{user.token}", json.dumps(session | changes), ex=2400)
        return {"Authorization": user.token, "signeraddress": user.address}

    @property
    def network_url(self) -> str:
        return self.settings.fuel_networks[0].public_url

    async def quote(self, prices: Mapping[str, object], units: Mapping[str, int]) -> None:
        """Write quotes and the list of assets as Bako does."""
        await self.redis.hset("quotes", mapping={k: str(v) for k, v in prices.items()})
        await self.redis.expire("quotes", 2400)
        listed = [
            {
                "name": asset_id,
                "networks": [
                    {"type": "ethereum", "chainId": 1, "decimals": 18},
                    {
                        "type": "fuel",
                        "chainId": CHAIN_ID,
                        "assetId": asset_id,
                        "decimals": decimals,
                    },
                ],
            }
            for asset_id, decimals in units.items()
        ]
        maps = {
            "fuelAssetsList": listed,
            "assetsMapById": {asset_id: {"symbol": "X", "slug": "X"} for asset_id in units},
        }
        await self.redis.set("assets:maps", json.dumps(maps), ex=3600)

    async def warm(self, *addresses: str) -> None:
        """Publish a snapshot of each predicate, as a read does."""
        user = await self.database.add_user()
        for address in addresses:
            await self.database.add_predicate(user, predicate_address=address)
        answer = await self.get("/user/allocation", await self.sign_in(user))
        assert answer.status_code == 200
        keys = [f"balance:{address}:{CHAIN_ID}" for address in addresses]
        assert await self.redis.exists(*keys) == len(keys)

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def internal(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.client.post(
            f"/internal{path}", json=body, headers={"X-API-Key": KEY, **headers}
        )


def seconds_since(moment: str) -> float:
    """Return how long ago a moment of an answer was; a second of the clocks' difference is none."""
    passed = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    assert passed > -1
    return passed


def own_to_none(answer: httpx.Response) -> dict[str, str]:
    """The headers of an answer without the one that is each request's own."""
    return {name: value for name, value in answer.headers.items() if name != "x-request-id"}


def settings_for(redis_url: str, database_url: str, node_url: str, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "REDIS_URL": redis_url,
        "database_url": database_url,
        "fuel_networks": (Network(CHAIN_ID, "mainnet", (node_url,)),),
        "read_wait_seconds": 2.0,
        "node_timeout_seconds": 2.0,
        "node_calls_per_second": 1_000.0,
        "node_calls_burst": 1_000,
        "internal_api_key": KEY,
        "internal_rate_limit": 10_000,
    }
    return Settings(**(values | changes))


@asynccontextmanager
async def started(
    settings: Settings,
    publisher: TaskPublisher | None,
    *,
    peer: str = "127.0.0.1",
    payer: Payer | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """Start the application, without a socket, and hand out a client of it."""
    app = create_app(settings, publisher, payer=payer)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(peer, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            yield client


on_both_databases = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)

_template: list[bytes] = []


async def _prepare(database_url: str) -> None:
    """Copy Bako's tables, created once, into a new SQLite file; PostgreSQL's are there."""
    if not database_url.startswith("sqlite"):
        return
    path = Path(database_url.removeprefix("sqlite:///"))
    if not _template:
        await create_schema(database_url)
        _template.append(path.read_bytes())  # noqa: ASYNC240 - a small local file
    path.write_bytes(_template[0])  # noqa: ASYNC240 - a small local file


@asynccontextmanager
async def open_world(
    redis_url: str, database_url: str, node: DevnetServer, **changes: Any
) -> AsyncIterator[World]:
    """Start everything; the tables are created, the cache server is emptied."""
    redis = Redis.from_url(redis_url)
    await redis.flushdb()
    await _prepare(database_url)
    database = BakoDatabase(database_url)
    settings = settings_for(redis_url, database_url, node.url, **changes)
    publisher = RecordingPublisher()
    try:
        async with started(settings, publisher) as client:
            yield World(settings, database, redis, node, publisher, client)
    finally:
        await database.close()
        await redis.aclose()


@asynccontextmanager
async def served(world: World) -> AsyncIterator[str]:
    """Serve the application of a world on a port of its own; return its address."""
    listener = listen("127.0.0.1", 0)
    application = create_app(world.settings, world.publisher)
    server = uvicorn.Server(uvicorn.Config(application, log_config=None, proxy_headers=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        assert await asyncio.to_thread(wait_until, lambda: server.started, seconds=10)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join, 10)
        listener.close()
