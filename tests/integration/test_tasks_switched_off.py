"""What the switches turn off: each task says so, and asks no node."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator

import pytest
import structlog

from config.settings import current_settings
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.values import Fresh, Lane, ReadAnswer, Stale
from registry.seed import SeededUser, seed_user
from registry.store import Registry
from runtime.assembly import Runtime
from supervisor.valkey import EmbeddedServer
from tasks import invalidation, refresh, warm_up
from tasks.loop import process_loop

ADDRESS = "0x" + "7" * 64

Place = Callable[..., None]


@pytest.fixture
def node() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, chain_id=0, block_seconds=0)) as server:
        yield server


@pytest.fixture
def place(
    node: DevnetServer,
    cache_server: EmbeddedServer,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Place]:
    """Sets this process's settings, as a worker process has them."""
    database = tmp_path_factory.mktemp("registry") / "registry.sqlite3"
    network = [{"chainId": 0, "name": "testnet", "urls": [node.url]}]

    def set_up(**switches: str) -> None:
        process_loop.close()
        monkeypatch.setenv("REDIS_URL", cache_server.url(5))
        monkeypatch.setenv("DATABASE_URL", f"sqlite:///{database}")
        monkeypatch.setenv("FUEL_NETWORKS", json.dumps(network))
        for name, value in switches.items():
            monkeypatch.setenv(name, value)
        current_settings.cache_clear()

    yield set_up
    process_loop.close()
    current_settings.cache_clear()


def seeded() -> SeededUser:
    async def seed() -> SeededUser:
        settings = current_settings()
        registry = Registry.open(settings.database_url)
        await registry.create_schema()
        await registry.close()
        return await seed_user(settings.database_url, settings.fuel_networks[0], predicates=1)

    return asyncio.run(seed())


def stored(*, fill: bool = False) -> ReadAnswer:
    """What the cache holds of the vault; filled first, if asked for."""

    async def read() -> ReadAnswer:
        runtime = await Runtime.open(current_settings())
        try:
            if fill:
                await runtime.reader(0).refill([ADDRESS], lane=Lane.READ)
            return (await runtime.cache.read(0, [ADDRESS]))[ADDRESS]
        finally:
            await runtime.close()

    return asyncio.run(read())


def fetches(node: DevnetServer) -> int:
    return sum("balances" in str(record.as_json()) for record in node.devnet.log.records())


@pytest.mark.parametrize("switch", ["ENABLE_BALANCE_CACHE", "WARMUP_ENABLED"])
def test_a_login_warms_nothing_when_it_is_switched_off(
    place: Place, node: DevnetServer, switch: str
) -> None:
    place(**{switch: "false"})
    user = seeded()
    with structlog.testing.capture_logs() as logs:
        warm_up.warm_user(user.user_id, 0)
        warm_up.warm_predicates(list(user.addresses), 0)

    said = [entry["by"] for entry in logs if entry["event"] == "task.switched_off"]
    assert said == [f"{switch}=false"] * 2
    assert fetches(node) == 0


def test_nothing_is_refreshed_or_refilled_when_the_cache_is_switched_off(
    place: Place, node: DevnetServer
) -> None:
    place(ENABLE_BALANCE_CACHE="false")
    with structlog.testing.capture_logs() as logs:
        refresh.refresh_due(0)
        invalidation.refill([ADDRESS], 0, 5)

    assert [e["task"] for e in logs if e["event"] == "task.switched_off"] == [
        "balances.refresh_due",
        "balances.refill",
    ]
    assert fetches(node) == 0


def test_switching_the_cache_on_again_never_serves_what_was_invalidated_meanwhile(
    place: Place, node: DevnetServer
) -> None:
    place()
    assert isinstance(stored(fill=True), Fresh)
    fetched = fetches(node)
    place(ENABLE_BALANCE_CACHE="false")
    with structlog.testing.capture_logs() as logs:
        invalidation.invalidate([ADDRESS], 0, 5, None)
    place(ENABLE_BALANCE_CACHE="true")

    assert "task.switched_off" in [entry["event"] for entry in logs]
    assert fetches(node) == fetched
    assert isinstance(stored(), Stale)
