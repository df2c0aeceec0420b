"""What it costs to know, of each owner that a block names, whether he is one of ours.

``make bench-watched`` runs it: a registry of a million predicates, a cache that holds something of
each of them, and blocks of 150 owners (50 transactions), strangers and ours mixed. No copy of the
registry is kept, so a vault that was registered a moment ago is known at once, which is checked at
the end. Exit code 1, and no figures, when an owner is told wrongly.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import psutil
import typer
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from benchmarks.common import refuse, save
from cache.connection import connect
from cache.keys import Keys
from cache.watched import WatchedPredicates
from domain.values import Address
from registry.store import Registry
from supervisor.valkey import EmbeddedServer

CHAIN_ID = 9889
PORTION = 5_000
VALUE = b"v" * 300
"""As long as the JSON of a vault with two assets."""


def address(number: int) -> Address:
    """Return an address that looks drawn, the same for the same number."""
    return f"0x{random.Random(number).getrandbits(256):064x}"


async def fill_cache(client: Redis, vaults: Sequence[Address]) -> None:
    """Hold a state and a value of each."""
    keys = Keys()
    for at in range(0, len(vaults), PORTION):
        pipeline = client.pipeline(transaction=False)
        for vault in vaults[at : at + PORTION]:
            pipeline.set(keys.value(vault, CHAIN_ID), VALUE, ex=86_400)
            pipeline.hset(keys.state(vault, CHAIN_ID), mapping={"version": 1, "upper": 1})
        await pipeline.execute()


def fill_registry(path: Path, vaults: Sequence[Address], first_id: int = 2) -> None:
    """Write the predicates, quicker than through the models."""
    owner = str(UUID(int=1, version=4))
    rows = (
        (str(UUID(int=number, version=4)), "vault", vault, "{}", 0, owner)
        for number, vault in enumerate(vaults, first_id)
    )
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.executemany(
            "INSERT INTO predicates (id, name, predicate_address, configurable, root, owner_id)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )


async def measure(vaults: int, blocks: int) -> dict[str, Any]:
    """Fill everything, look at blocks, and return the figures."""
    ours = [address(number) for number in range(vaults)]
    server = EmbeddedServer.start(memory="6gb")
    try:
        with tempfile.TemporaryDirectory(prefix="bench-watched-") as directory:
            path = Path(directory) / "registry.sqlite3"
            registry = Registry.open(f"sqlite:///{path}")
            await registry.create_schema()
            fill_registry(path, ours)
            client = connect(server.url())
            await fill_cache(client, ours)
            found = await _look(client, registry, ours, blocks)
            await _register_one_more(path, registry, address(vaults), vaults + 2)
            memory = await client.info("memory")
            await client.aclose()
            await registry.close()
            return {
                "vaults": vaults,
                **found,
                "redis_bytes_per_vault": round(int(memory["used_memory"]) / vaults),
                "registry_bytes_per_vault": round(path.stat().st_size / vaults),
            }
    finally:
        server.stop()


async def _register_one_more(path: Path, registry: Registry, vault: Address, its_id: int) -> None:
    """Register a vault and ask at once whether it is ours."""
    if await registry.known_addresses([vault]):
        refuse("the registry knows a vault that was not registered")
    fill_registry(path, [vault], its_id)
    if list(await registry.known_addresses([vault])) != [vault]:
        refuse("the registry does not know a vault that was registered a moment ago")


async def _look(
    client: Redis, registry: Registry, ours: list[Address], blocks: int
) -> dict[str, Any]:
    watched = WatchedPredicates(client)
    before = psutil.Process().memory_info().rss
    cached_ms, registry_ms = [], []
    for block in range(blocks):
        known = random.Random(block).sample(ours, 50)
        strangers = [address(10**9 + 100 * block + number) for number in range(100)]
        begun = time.perf_counter()
        if await watched.known(CHAIN_ID, [*known, *strangers]) != set(known):
            refuse("the cache tells wrongly who is ours")
        cached_ms.append((time.perf_counter() - begun) * 1000)
        begun = time.perf_counter()
        if set(await registry.known_addresses([*known, *strangers])) != set(known):
            refuse("the registry tells wrongly who is ours")
        registry_ms.append((time.perf_counter() - begun) * 1000)
    return {
        "owners_per_block": 150,
        "blocks": blocks,
        "cache_ms_median": round(statistics.median(cached_ms), 2),
        "cache_ms_longest": round(max(cached_ms), 2),
        "registry_ms_median": round(statistics.median(registry_ms), 2),
        "registry_ms_longest": round(max(registry_ms), 2),
        "follower_bytes_more": psutil.Process().memory_info().rss - before,
        "walk_seconds": round(await _walk(watched, len(ours)), 1),
    }


async def _walk(watched: WatchedPredicates, vaults: int) -> float:
    """Go through everything that has a value, as after an event of L1; return the seconds."""
    begun, place, met = time.perf_counter(), 0, 0
    while True:
        place, page = await watched.with_value(CHAIN_ID, place)
        met += len(page)
        if place == 0:
            break
    if met < vaults:
        refuse(f"the walk has met {met} of {vaults} vaults")
    return time.perf_counter() - begun


def main(
    vaults: Annotated[int, typer.Option(help="Registered and cached.")] = 1_000_000,
    blocks: Annotated[int, typer.Option(help="Looked at.")] = 200,
) -> None:
    """Measure, print a table, and write benchmarks/results/watched.json."""
    figures = asyncio.run(measure(vaults, blocks))
    table = Table("figure", "value", title="Whose are the owners of a block?")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), str(value))
    Console().print(table)
    save("watched", figures)


if __name__ == "__main__":
    typer.run(main)
