"""What the cache's server says of itself, for `doctor`. Changes nothing."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from cache.commands import Commands

_PORTION = 1_000


@dataclass(frozen=True, slots=True)
class ServerReport:
    """How a Redis server is set up.

    Attributes:
        version: its version; for Valkey, the Redis version that it is compatible with.
        policy: what it does when it is full.
        memory_limit: bytes; 0: none of its own.
        memory_used: bytes.
        evicted_keys: what it had to give up since its start.
        role: master or slave.
        clock_skew_seconds: how far its clock is ahead of ours.
        answer_seconds: how long one round trip takes.
    """

    version: str
    policy: str
    memory_limit: int
    memory_used: int
    evicted_keys: int
    role: str
    clock_skew_seconds: float
    answer_seconds: float


class CacheServer:
    """Asks the server. Methods raise `CacheUnavailableError`."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._commands = Commands(client)

    async def report(self) -> ServerReport | None:
        """Return how the server is set up; None for a cluster: it has many, ask each."""
        if isinstance(self._client, RedisCluster):
            return None
        await self._commands.batch([("TIME",)])  # connects
        before = time.time()
        [now] = await self._commands.batch([("TIME",)])
        after = time.time()
        [told] = await self._commands.batch([("INFO",)])
        known: dict[str, Any] = told if isinstance(told, dict) else {}
        return ServerReport(
            version=str(known.get("redis_version", "unknown")),
            policy=str(known.get("maxmemory_policy", "unknown")),
            memory_limit=int(known.get("maxmemory", 0)),
            memory_used=int(known.get("used_memory", 0)),
            evicted_keys=int(known.get("evicted_keys", 0)),
            role=str(known.get("role", "unknown")),
            clock_skew_seconds=int(now[0]) + int(now[1]) / 1e6 - (before + after) / 2,
            answer_seconds=after - before,
        )

    async def size(self) -> int | None:
        """Return how many keys the database has; None for a cluster."""
        if isinstance(self._client, RedisCluster):
            return None
        [number] = await self._commands.batch([("DBSIZE",)])
        return number if isinstance(number, int) else None

    async def walk(self, pattern: str) -> AsyncIterator[tuple[int, list[bytes]]]:
        """Go through all keys by SCAN, a portion at a time; yield how many were looked at, about.

        Between two portions the server serves everybody else; whoever walks may stop at any time.
        """
        cursor, looked_at = 0, 0
        while True:
            [answer] = await self._commands.batch(
                [("SCAN", cursor, "MATCH", pattern, "COUNT", _PORTION)]
            )
            cursor, looked_at = int(answer[0]), looked_at + _PORTION
            yield looked_at, answer[1]
            if cursor == 0:
                return
