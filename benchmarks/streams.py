"""Open streams at one API process: what they cost, and how soon the last reader hears of a change.

``make bench-streams``: a thousand users with ten vaults each, one of which is everybody's, each
with one open stream. Measured: memory and processor time of the API while nothing changes and
while vaults change, and the time from a publish of the shared vault to the first, the middle and
the last of its readers. The readers run beside it on the same machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import psutil
import typer
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from benchmarks import storm_users
from benchmarks.common import refuse, save
from benchmarks.storm_users import Population
from config.settings import Settings
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.networks import Network
from domain.ports import Lease
from domain.values import Address, Balance, Snapshot
from runtime.assembly import Runtime
from supervisor.ports import free_port, is_listening
from supervisor.processes import spawn, stop
from supervisor.valkey import EmbeddedServer
from supervisor.waiting import wait_until

CHAIN_ID = 9889
VAULTS = 10
ASSETS = 5
SHARED: Address = f"0x{'5a' * 32}"
_PORTION = 500
_OPENED_AT_ONCE = 25
_PATIENCE_SECONDS = 60.0


@dataclass
class Reader:
    """One open stream, read as bytes: a parser would measure itself."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    arrivals: asyncio.Queue[tuple[int, float]]
    is_complete: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        """Note when each change of the shared vault was heard of."""
        while line := await self.reader.readline():
            if line.startswith(b"event: snapshot"):
                self.is_complete.set()
            elif line.startswith(b"data: ") and SHARED.encode() in line and b'"asOf"' in line:
                now = time.perf_counter()
                told = json.loads(line[6:])
                self.arrivals.put_nowait((told["freshness"]["blockHeight"], now))


@asynccontextmanager
async def api_process(settings: dict[str, str], directory: Path) -> AsyncIterator[tuple[int, int]]:
    """Start one API process; give its port and its process id."""
    port = free_port()
    environment = {**settings, "API_PORT": str(port), "LOG_LEVEL": "WARNING"}
    with (directory / "api.log").open("wb") as log:
        process = spawn(
            [sys.executable, "-m", "cli.main", "api"],
            environment=environment,
            output=log,
            death_signal=signal.SIGKILL,
        )
    try:
        started = await asyncio.to_thread(wait_until, lambda: is_listening(port), seconds=40)
        if not started:
            refuse((directory / "api.log").read_text()[-2_000:])
        yield port, process.pid
    finally:
        stop(process)


async def sign_in(redis: Redis, people: Population) -> None:
    """Write everybody's session as Bako does."""
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    async with redis.pipeline(transaction=False) as pipeline:
        for user in people.users:
            network = {"url": "", "chainId": CHAIN_ID}
            session = {"user_id": user, "address": "0x1", "expired_at": until, "network": network}
            pipeline.set(f"session-{user}", json.dumps(session), ex=3_600)
        await pipeline.execute()


async def publish(runtime: Runtime, addresses: Sequence[Address], height: int) -> None:
    """Publish what a node might have told."""
    balances = tuple(Balance(f"0x{n:064x}", height * 1_000 + n) for n in range(1, ASSETS + 1))
    for at in range(0, len(addresses), _PORTION):
        held = await runtime.cache.acquire(CHAIN_ID, addresses[at : at + _PORTION])
        leased = [
            (lease, Snapshot(address, CHAIN_ID, balances, height, height))
            for address, lease in held.items()
            if isinstance(lease, Lease)
        ]
        outcomes = await runtime.cache.publish(leased)
        if set(outcomes.values()) != {"published"}:
            refuse("a publish was refused")


async def open_stream(port: int, user: str, arrivals: asyncio.Queue[tuple[int, float]]) -> Reader:
    """Open one stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    request = (
        "GET /user/balances/stream HTTP/1.1\r\nHost: api\r\n"
        f"Authorization: {user}\r\nsigneraddress: 0x1\r\n\r\n"
    )
    writer.write(request.encode())
    status = await reader.readline()
    if b" 200 " not in status:
        refuse(f"a stream was refused: {status!r}")
    return Reader(reader, writer, arrivals)


async def open_all(
    port: int, people: Population, arrivals: asyncio.Queue[tuple[int, float]]
) -> tuple[list[Reader], list[asyncio.Task[None]]]:
    """Open everybody's stream and wait until each has told what is known."""
    readers: list[Reader] = []
    for at in range(0, len(people.users), _OPENED_AT_ONCE):
        some = people.users[at : at + _OPENED_AT_ONCE]
        readers += await asyncio.gather(*(open_stream(port, user, arrivals) for user in some))
    listening = [asyncio.create_task(reader.listen()) for reader in readers]
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await asyncio.gather(*(reader.is_complete.wait() for reader in readers))
    return readers, listening


@dataclass(frozen=True)
class Load:
    """What a process took of one processor in a time."""

    process: psutil.Process

    async def during(self, work: Any) -> float:
        """Return processor seconds for each second of the work."""
        before, started = self._seconds(), time.perf_counter()
        await work
        return (self._seconds() - before) / (time.perf_counter() - started)

    def _seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def megabytes(self) -> float:
        """Return its resident memory."""
        return float(self.process.memory_info().rss) / 2**20


async def keep_changing(
    runtime: Runtime, vaults: Sequence[Address], seconds: int, rate: int
) -> None:
    """Publish changes of vaults at an even rate."""
    started = time.perf_counter()
    for count in range(seconds * rate):
        await publish(runtime, [vaults[count % len(vaults)]], 10 + count)
        await asyncio.sleep(max(0.0, started + count / rate - time.perf_counter()))


async def time_fan_out(
    runtime: Runtime, arrivals: asyncio.Queue[tuple[int, float]], readers: int, rounds: int
) -> list[list[float]]:
    """Publish the shared vault again and again; return each round's sorted delays, ms."""
    delays = []
    for height in range(100_000, 100_000 + rounds):
        published_at = time.perf_counter()
        await publish(runtime, [SHARED], height)
        times: list[float] = []
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while len(times) < readers:
                told, heard_at = await arrivals.get()
                if told == height:
                    times.append((heard_at - published_at) * 1_000)
        delays.append(sorted(times))
    return delays


async def measure(directory: Path, *, streams: int, seconds: int, rounds: int) -> dict[str, Any]:
    """Measure all of it."""
    own = storm_users.population(streams, VAULTS - 1, 0.0)
    people = Population(own.users, tuple((*vaults, SHARED) for vaults in own.vaults))
    node = DevnetServer(DevnetOptions(port=0, chain_id=CHAIN_ID, block_seconds=0)).start()
    server = EmbeddedServer.start()
    database_url = f"sqlite:///{directory}/registry.sqlite3"
    network = Network(CHAIN_ID, "mainnet", (node.url,))
    settings = Settings(REDIS_URL=server.url(), database_url=database_url, fuel_networks=(network,))
    environment = {
        "REDIS_URL": server.url(),
        "CELERY_BROKER_URL": server.url(1),
        "DATABASE_URL": database_url,
        "FUEL_NETWORKS": json.dumps([{"chainId": CHAIN_ID, "name": "mainnet", "urls": [node.url]}]),
    }
    redis, runtime = Redis.from_url(server.url()), await Runtime.open(settings)
    try:
        await storm_users.write(database_url, people)
        await sign_in(redis, people)
        await publish(runtime, people.distinct, 1)
        async with api_process(environment, directory) as api:
            return await _measure(api, people, runtime, redis, seconds=seconds, rounds=rounds)
    finally:
        await runtime.close()
        await redis.aclose()
        server.stop()
        node.stop()


async def _measure(
    api: tuple[int, int],
    people: Population,
    runtime: Runtime,
    redis: Redis,
    *,
    seconds: int,
    rounds: int,
) -> dict[str, Any]:
    port, process_id = api
    load = Load(psutil.Process(process_id))
    arrivals: asyncio.Queue[tuple[int, float]] = asyncio.Queue()
    empty = load.megabytes()
    started = time.perf_counter()
    readers, listening = await open_all(port, people, arrivals)
    opened = time.perf_counter() - started
    full = load.megabytes()
    idle = await load.during(asyncio.sleep(seconds))
    rate = 20
    vaults = people.distinct[:-1]
    changing = await load.during(keep_changing(runtime, vaults, seconds, rate))
    delays = await time_fan_out(runtime, arrivals, len(readers), rounds)
    followers = [one for one in await redis.client_list() if one["cmd"] == "xread"]
    if any(task.done() for task in listening) or len(followers) != 1:
        refuse("a stream has ended, or there is more than one reader of changes")
    for task in listening:
        task.cancel()
    for reader in readers:
        reader.writer.close()
    return {
        "streams": len(readers),
        "vaults_watched": len(people.distinct),
        "readers_of_changes": len(followers),
        "opened_seconds": round(opened, 2),
        "memory_mb": {
            "without_streams": round(empty, 1),
            "with_streams": round(full, 1),
            "at_the_end": round(load.megabytes(), 1),
            "kb_a_stream": round((full - empty) * 1024 / len(readers), 1),
        },
        "cpu_of_one_core": {
            "idle": round(idle, 3),
            f"{rate}_changes_a_second": round(changing, 3),
        },
        "publish_to_reader_ms": {
            "rounds": rounds,
            "first": round(median(d[0] for d in delays), 1),
            "middle": round(median(d[len(d) // 2] for d in delays), 1),
            "last": round(median(d[-1] for d in delays), 1),
            "slowest_last": round(max(d[-1] for d in delays), 1),
        },
    }


def show(found: dict[str, Any]) -> None:
    """Print a table."""
    table = Table("", "", title=f"{found['streams']} open streams at one process")
    for name, value in found.items():
        for part, figure in value.items() if isinstance(value, dict) else [("", value)]:
            table.add_row(f"{name} {part}".replace("_", " ").strip(), str(figure))
    Console().print(table)


def main(
    *,
    streams: Annotated[int, typer.Option(help="Open streams, each of another user.")] = 1_000,
    seconds: Annotated[int, typer.Option(help="How long each load is measured.")] = 20,
    rounds: Annotated[int, typer.Option(help="Publishes to all readers.")] = 20,
) -> None:
    """Measure, print a table, and write benchmarks/results/streams.json."""
    with tempfile.TemporaryDirectory(prefix="balance-cache-") as directory:
        os.nice(1)  # the readers: the process that is measured goes first
        found = asyncio.run(
            measure(Path(directory), streams=streams, seconds=seconds, rounds=rounds)
        )
    show(found)
    path = save("streams", found)
    print(f"written: {path.relative_to(path.parents[2])}")


if __name__ == "__main__":
    typer.run(main)
