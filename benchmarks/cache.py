"""How fast the cache is, beside raw MGET of the same bytes, cashews and aiocache.

The others do the nearest thing that they can: none of them fences a write against an
invalidation. Rounds of all contestants alternate, so that a busy machine slows all of them.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiocache
from aiocache.serializers import JsonSerializer
from cashews import Cache
from redis.asyncio import Redis
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.common import refuse, save
from cache import codec
from cache.clock import ServerClock
from cache.connection import connect
from cache.keys import Keys
from cache.store import RedisBalanceCache
from domain.ports import Lease
from domain.values import Address, Balance, Fresh, Snapshot
from supervisor.valkey import EmbeddedServer

CHAIN = 9889
VAULTS = 100
ASSETS = 20
ROUNDS = 40
STAMPEDE = 1_000
FETCH_SECONDS = 0.5
GOAL = 1.3

Operation = Callable[[], Awaitable[Any]]


def _address(number: int) -> Address:
    return f"0x{number:064x}"


def _snapshot(address: Address) -> Snapshot:
    balances = tuple(Balance(_address(asset + 1), 10**9 + asset) for asset in range(ASSETS))
    return Snapshot(address, CHAIN, balances, 100, 100, "https://mainnet.fuel.network/v1/graphql")


@dataclass
class Contestants:
    """The clients, each with the same vaults stored.

    `raw` is the client that the cache itself uses, `plain` redis-py's as it comes.
    """

    raw: Redis
    plain: Redis
    ours: RedisBalanceCache
    cashews: Cache
    aiocache: Any
    clock: ServerClock

    @classmethod
    async def start(cls, server: EmbeddedServer) -> Contestants:
        """Connect everybody, each to a database of its own."""
        client = connect(server.url())
        cashews = Cache()
        cashews.setup(server.url(1) + "?protocol=2", client_side=False)
        other = aiocache.Cache(
            aiocache.Cache.REDIS, endpoint="127.0.0.1", port=server.port, db=2,
            serializer=JsonSerializer(),
        )  # fmt: skip
        clock = ServerClock()
        ours = RedisBalanceCache(client, chain_ids=(CHAIN, 0), clock=clock)
        return cls(client, Redis.from_url(server.url()), ours, cashews, other, clock)

    async def publish(self, addresses: list[Address]) -> None:
        """Take the leases and publish: the two round trips of a refill."""
        held = await self.ours.acquire(CHAIN, addresses)
        leased = [(lease, _snapshot(a)) for a, lease in held.items() if isinstance(lease, Lease)]
        outcomes = await self.ours.publish(leased)
        if set(outcomes.values()) != {"published"}:
            refuse(f"publish: {outcomes}")

    async def fill(self, addresses: list[Address]) -> None:
        """Store the same vaults everywhere."""
        await self.publish(addresses)
        for address in addresses:
            raw = await self.raw.get(Keys().value(address, CHAIN))
            value = json.loads(raw or b"")
            await self.cashews.set(address, value, expire=600)
            await self.aiocache.set(address, value, ttl=600)

    async def close(self) -> None:
        """Disconnect everybody."""
        await self.ours.aclose()
        await self.plain.aclose()
        await self.cashews.close()
        await self.aiocache.close()


async def _read_cold(contestants: Contestants, addresses: list[Address]) -> Any:
    """Read as a process that has just started, which remembers no decoded value."""
    cache = RedisBalanceCache(contestants.raw, chain_ids=(CHAIN, 0), clock=contestants.clock)
    return await cache.read(CHAIN, addresses)


def _check(answers: Any) -> None:
    """Refuse a read of ours that was no hit; outside of what is measured."""
    if isinstance(answers, dict) and not all(isinstance(one, Fresh) for one in answers.values()):
        refuse("a vault was not fresh")


def _operations(contestants: Contestants) -> dict[str, dict[str, Operation]]:
    everyone = [_address(number) for number in range(VAULTS)]
    keys = [Keys().value(address, CHAIN) for address in everyone]
    table: dict[str, dict[str, Operation]] = {}
    for count in (1, 10, 100):
        some = everyone[:count]
        table[f"read {count}"] = {
            "raw MGET": lambda count=count: contestants.raw.mget(keys[:count]),
            "raw MGET, plain redis-py": lambda count=count: contestants.plain.mget(keys[:count]),
            "balance-cache": lambda some=some: contestants.ours.read(CHAIN, some),
            "balance-cache, first decode": lambda some=some: _read_cold(contestants, some),
            "cashews": lambda some=some: contestants.cashews.get_many(*some),
            "aiocache": lambda some=some: contestants.aiocache.multi_get(some),
        }
    value = json.loads(_as_json(everyone[0]))
    for count in (1, 10):
        some = everyone[-count:]
        pairs = dict.fromkeys(some, value)
        table[f"publish {count}"] = {
            "balance-cache": lambda some=some: contestants.publish(some),
            "cashews": lambda pairs=pairs: contestants.cashews.set_many(pairs, expire=600),
            "aiocache": lambda pairs=pairs: contestants.aiocache.multi_set(
                list(pairs.items()), ttl=600
            ),
        }
        table[f"invalidate {count}"] = {
            "balance-cache": lambda some=some: contestants.ours.invalidate(some, CHAIN, 100),
            "cashews": lambda some=some: contestants.cashews.delete_many(*some),
            "aiocache": lambda some=some: _delete_each(contestants.aiocache, some),
        }
    return table


def _as_json(address: Address) -> str:
    encoded = codec.encode(_snapshot(address), 540_000)
    return f"{encoded.until_timestamp}1{encoded.until_epoch}{encoded.until_version}1}}"


async def _delete_each(cache: Any, keys: list[str]) -> None:
    for key in keys:
        await cache.delete(key)


async def _microseconds(operation: Operation, repeats: int) -> float:
    await operation()  # what another contestant left behind is not this one's cost
    started = time.perf_counter()
    for _ in range(repeats):
        answer = await operation()
    seconds = time.perf_counter() - started
    _check(answer)
    return seconds / repeats * 1e6


async def _measure(table: Mapping[str, Mapping[str, Operation]]) -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, list[float]]] = {
        row: {name: [] for name in contest} for row, contest in table.items()
    }
    for _ in track(range(ROUNDS), "rounds", transient=True):
        for row, contest in table.items():
            for name, operation in contest.items():
                figures[row][name].append(await _microseconds(operation, 10))
    return {
        row: {name: round(statistics.median(rounds), 1) for name, rounds in contest.items()}
        for row, contest in figures.items()
    }


async def _stampede_ours(cache: RedisBalanceCache) -> tuple[float, int]:
    address, fetches = _address(99_999), 0

    async def read() -> None:
        nonlocal fetches
        while not isinstance((await cache.read(CHAIN, [address]))[address], Fresh):
            held = (await cache.acquire(CHAIN, [address], seen={address: 0}))[address]
            if not isinstance(held, Lease):
                await cache.wait_published(CHAIN, [address], 10)
                continue
            fetches += 1
            await asyncio.sleep(FETCH_SECONDS)
            await cache.publish([(held, _snapshot(address))])

    return await _all_at_once(read), fetches


async def _stampede_cashews(cache: Cache) -> tuple[float, int]:
    fetches = 0

    @cache(ttl="10m", key="stampede", lock=True)
    async def read() -> str:
        nonlocal fetches
        fetches += 1
        await asyncio.sleep(FETCH_SECONDS)
        return _as_json(_address(0))

    seconds = await _all_at_once(read)
    return seconds, fetches


async def _stampede_aiocache(server: EmbeddedServer) -> tuple[float, int]:
    fetches = 0

    @aiocache.cached_stampede(
        lease=10, ttl=600, cache=aiocache.Cache.REDIS, endpoint="127.0.0.1",
        port=server.port, db=2, key="stampede", pool_max_size=32,
    )  # fmt: skip
    async def read() -> str:
        nonlocal fetches
        fetches += 1
        await asyncio.sleep(FETCH_SECONDS)
        return _as_json(_address(0))

    seconds = await _all_at_once(read)
    await read.cache.close()
    return seconds, fetches


async def _all_at_once(read: Callable[[], Awaitable[Any]]) -> float:
    started = time.perf_counter()
    async with asyncio.TaskGroup() as readers:
        for _ in range(STAMPEDE):
            readers.create_task(_await(read))
    return round(time.perf_counter() - started, 2)


async def _await(read: Callable[[], Awaitable[Any]]) -> None:
    await read()


async def _attempt(stampede: Awaitable[tuple[float, int]]) -> dict[str, Any]:
    """Run somebody else's stampede: its failure is a figure of its own."""
    try:
        seconds, fetches = await stampede
    except ExceptionGroup as failed:
        return {"failed": type(failed.exceptions[0]).__name__, "readers": len(failed.exceptions)}
    return {"seconds": seconds, "fetches": fetches}


async def _bytes_per_vault(client: Redis) -> dict[str, int]:
    keys, address = Keys(), _address(0)
    names = {
        "value": keys.value(address, CHAIN),
        "last known": keys.last_known(address, CHAIN),
        "state": keys.state(address, CHAIN),
    }
    sizes = {}
    for name, key in names.items():
        sizes[name] = int(await client.memory_usage(key) or 0)
    return {**sizes, "sum": sum(sizes.values())}


async def main() -> None:
    """Measure, print and save."""
    server = EmbeddedServer.start()
    contestants = await Contestants.start(server)
    try:
        await contestants.fill([_address(number) for number in range(VAULTS)])
        size = await _bytes_per_vault(contestants.raw)
        table = _operations(contestants)
        reads = {row: contest for row, contest in table.items() if row.startswith("read")}
        writes = {row: contest for row, contest in table.items() if row not in reads}
        figures = await _measure(reads) | await _measure(writes)
        seconds, fetches = await _stampede_ours(contestants.ours)
        stampede = {
            "balance-cache": {"seconds": seconds, "fetches": fetches},
            "cashews": await _attempt(_stampede_cashews(contestants.cashews)),
            "aiocache": await _attempt(_stampede_aiocache(server)),
        }
    finally:
        await contestants.close()
        server.stop()
    _show(figures, stampede, size)
    ten = figures["read 10"]
    ratio = ten["balance-cache"] / ten["raw MGET"]
    to_plain = ten["balance-cache"] / ten["raw MGET, plain redis-py"]
    print(f"read of 10 vaults: {ratio:.2f} times a raw MGET of the same bytes (goal: {GOAL})")
    print(f"by the client library as it comes: {to_plain:.2f}")
    path = save(
        "cache",
        {
            "microseconds": figures,
            "stampede_of_1000": stampede,
            "bytes_per_vault": size,
            "assets_per_vault": ASSETS,
            "read_10_to_raw_mget": round(ratio, 3),
            "read_10_to_plain_redis_py": round(to_plain, 3),
        },
    )
    print(f"saved: {path.name}")


def _show(figures: Mapping[str, Mapping[str, float]], *more: Mapping[str, Any]) -> None:
    names = list(figures["read 1"])
    table = Table(title=f"µs per operation, {ASSETS} assets per vault", title_justify="left")
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for row, contest in figures.items():
        table.add_row(row, *(str(contest.get(name, "")) for name in names))
    console = Console()
    console.print(table)
    for figure in more:
        console.print(figure)


if __name__ == "__main__":
    asyncio.run(main())
