"""What a vault takes of Redis's memory, and how many messages go in: ``make bench-capacity``."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.common import refuse, save
from cache.connection import connect
from cache.store import RedisBalanceCache
from config.settings import Settings
from domain.ports import Lease, PublishOutcome
from domain.values import Balance, Snapshot
from supervisor.valkey import BROKER_POLICY, EmbeddedServer
from tasks.names import WARM_USER, Queue
from tasks.publisher import open_publisher

CHAIN_ID = 9889
VAULTS = 2_000
ASSETS = (2, 12, 100)
MESSAGES = 2_000
_PORTION = 100
_AT_ONCE = 4  # as many as the publisher has threads


async def bytes_per_vault(server: EmbeddedServer, assets: int) -> float:
    """Fill an empty database with hot, invalidated and refilled vaults; return bytes for each."""
    client = connect(server.url())
    cache = RedisBalanceCache(client, chain_ids=(CHAIN_ID,))
    try:
        await client.flushdb()
        before = int((await client.info("memory"))["used_memory"])
        for start in range(0, VAULTS, _PORTION):
            addresses = [f"0x{number:064x}" for number in range(start, start + _PORTION)]
            await cache.invalidate(addresses, CHAIN_ID, 1)
            leases = await cache.acquire(CHAIN_ID, addresses)
            leased = [
                (lease, _snapshot(lease.address, assets))
                for lease in leases.values()
                if isinstance(lease, Lease)
            ]
            outcomes = await cache.publish(leased)
            if set(outcomes.values()) != {PublishOutcome.PUBLISHED} or len(outcomes) != _PORTION:
                refuse("a publish was refused")
            await cache.mark_read(CHAIN_ID, addresses)
        after = int((await client.info("memory"))["used_memory"])
    finally:
        await cache.aclose()
    return (after - before) / VAULTS


def _snapshot(address: str, assets: int) -> Snapshot:
    balances = tuple(Balance(f"0x{n:064x}", 10**9 + n) for n in range(assets))
    return Snapshot(address, CHAIN_ID, balances, 10_000_000, 10_000_000, "https://node.example/g")


async def messages_per_second(server: EmbeddedServer) -> float:
    """Publish messages as the API does, from one process."""
    settings = Settings(celery_broker_url=server.url())
    async with open_publisher(settings, seconds=5.0) as publisher:

        async def some(count: int) -> None:
            for _ in range(count):
                await publisher.send(WARM_USER, ["somebody"], queue=Queue.WARMUP, expires=120)

        begun = time.monotonic()
        await asyncio.gather(*(some(MESSAGES // _AT_ONCE) for _ in range(_AT_ONCE)))
        return MESSAGES / (time.monotonic() - begun)


def main() -> None:
    """Measure and write the results."""
    figures: dict[str, Any] = {}
    cache, broker = EmbeddedServer.start(), EmbeddedServer.start(policy=BROKER_POLICY)
    try:
        for assets in ASSETS:
            key = f"bytes_per_vault_of_{assets}_assets"
            figures[key] = round(asyncio.run(bytes_per_vault(cache, assets)))
        figures["messages_published_per_second"] = round(asyncio.run(messages_per_second(broker)))
    finally:
        cache.stop()
        broker.stop()
    for name, figure in figures.items():
        print(f"{name:40} {figure}")
    save("capacity", figures)


if __name__ == "__main__":
    main()
