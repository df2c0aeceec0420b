"""`make bench-durable`: 10^5 vaults kept in the database, and what a total loss of Redis costs.

Writes them as the keeper does, empties Redis, and reads dashboards of ten vaults: at once from the
database, marked; then lets the keeper bring the hot ones back. SQLite always; PostgreSQL where it
answers. The nodes answer nobody, so that whatever is served comes from the database.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.common import refuse, save
from cache.keeper import KeeperState
from config.settings import Settings
from domain.networks import Network
from domain.ports import Source
from domain.values import Balance, Snapshot, StoredSnapshot
from registry.migrate import add_indexes
from runtime.assembly import Runtime
from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer
from tasks.keeping import Keeping, keep
from tests.databases import create_schema, fresh_postgres, postgres_answers

CHAIN_ID = 9889
ASSETS = 12
DASHBOARDS = 100
HOT = 2_000


class FailedRunError(Exception):
    """Something in the run was not as it must be; nothing is reported."""


def _snapshot(number: int, height: int) -> StoredSnapshot:
    balances = tuple(Balance(f"0x{asset:064x}", number + asset) for asset in range(1, ASSETS + 1))
    snapshot = Snapshot(f"0x{number:064x}", CHAIN_ID, balances, height, height)
    return StoredSnapshot(snapshot, int(time.time() * 1000), version=1)


async def measure(database_url: str, vaults: int) -> dict[str, float]:
    """Return the figures of one database.

    Raises:
        FailedRunError: an answer was missing, fresh, or not from the database.
    """
    cache = EmbeddedServer.start()
    network = Network(CHAIN_ID, "mainnet", (f"http://127.0.0.1:{free_port()}/v1/graphql",))
    settings = Settings(REDIS_URL=cache.url(), database_url=database_url, fuel_networks=(network,))
    runtime = await Runtime.open(settings)
    try:
        return await _measured(runtime, vaults)
    finally:
        await runtime.close()
        cache.stop()


async def _measured(runtime: Runtime, vaults: int) -> dict[str, float]:
    figures: dict[str, float] = {"vaults": vaults}
    numbers = range(1, vaults + 1)
    for name, height in (("first_write", 10), ("unchanged_write", 11)):
        begun_at = time.perf_counter()
        for at in range(0, vaults, 5_000):
            stored = [_snapshot(number, height) for number in numbers[at : at + 5_000]]
            await runtime.durable.write(CHAIN_ID, stored)
        figures[f"{name}_seconds"] = round(time.perf_counter() - begun_at, 2)
    now_ms = await runtime.keeper.now_ms()
    hot = {f"0x{number:064x}": now_ms - number for number in numbers[:HOT]}
    await runtime.durable.note_reads(CHAIN_ID, hot)
    figures |= await _read_after_loss(runtime, vaults)
    figures |= await _brought_back(runtime)
    return figures


async def _read_after_loss(runtime: Runtime, vaults: int) -> dict[str, float]:
    """Redis knows nothing: dashboards of ten vaults, drawn at random."""
    chance = random.Random(1)
    milliseconds = []
    for _ in range(DASHBOARDS):
        addresses = [f"0x{chance.randint(1, vaults):064x}" for _ in range(10)]
        begun_at = time.perf_counter()
        served = await runtime.reader(CHAIN_ID).read_many(addresses, wait_seconds=30)
        milliseconds.append((time.perf_counter() - begun_at) * 1000)
        if {one.source for one in served.values()} != {Source.DATABASE}:
            raise FailedRunError("a dashboard was not answered from the database")
    ordered = sorted(milliseconds)
    return {
        "dashboard_ms_median": round(statistics.median(ordered), 2),
        "dashboard_ms_p99": round(ordered[int(len(ordered) * 0.99) - 1], 2),
    }


async def _brought_back(runtime: Runtime) -> dict[str, float]:
    begun_at = time.perf_counter()
    if await runtime.keeper.load() is not None:
        raise FailedRunError("the loss would not be noticed")
    report = await keep(
        Keeping(
            cache=runtime.cache,
            changes=runtime.changes,
            keeper=runtime.keeper,
            watched=runtime.watched,
            durable=runtime.durable,
            chain_ids=runtime.settings.chain_ids,
            hot_life_seconds=runtime.settings.hot_life_seconds,
        )
    )
    seconds = time.perf_counter() - begun_at
    state: KeeperState | None = await runtime.keeper.load()
    if report.brought_back != HOT or state is None:
        raise FailedRunError(f"{report.brought_back} hot vaults were brought back, not {HOT}")
    return {"hot_vaults": report.brought_back, "bring_back_seconds": round(seconds, 2)}


async def run(vaults: int) -> dict[str, dict[str, float]]:
    """Measure each database that there is."""
    found = {}
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sqlite = f"sqlite:///{directory}/bench.sqlite3"
        await create_schema(sqlite)
        found["sqlite"] = await measure(sqlite, vaults)
        if await postgres_answers():
            postgres = await stack.enter_async_context(fresh_postgres())
            await create_schema(postgres)
            await add_indexes(postgres)
            found["postgresql"] = await measure(postgres, vaults)
    return found


def main() -> None:
    """Run, print a table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vaults", type=int, default=100_000)
    console = Console()
    try:
        found = asyncio.run(run(parser.parse_args().vaults))
    except FailedRunError as error:
        refuse(str(error))
    table = Table("figure", *found)
    for name in next(iter(found.values())):
        table.add_row(name, *(str(figures[name]) for figures in found.values()))
    console.print(table)
    figures: dict[str, Any] = {"assets_per_vault": ASSETS, **found}
    save("durable", figures)


if __name__ == "__main__":
    main()
