"""How the cache is: what a scrape asks every few seconds, in a handful of commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from cache.commands import Commands
from cache.cursor import FollowerCursors, FollowerStatus
from cache.dead_letters import DEAD_LETTERS
from cache.heartbeat import Heartbeat
from cache.keys import Keys
from domain.values import ChainId
from domain.vitals import CacheVitals, FollowerVitals


class VitalSigns:
    """Reads them; raises `CacheUnavailableError` when Redis does not answer."""

    def __init__(self, client: Redis, *, hash_tags: bool = False) -> None:
        self._commands = Commands(client)
        self._keys = Keys(hash_tags)
        self._beat = Heartbeat(client)
        self._cursors = FollowerCursors(client)

    async def read(self, chain_ids: Sequence[ChainId]) -> CacheVitals:
        """Return how the cache is."""
        sizes = [("ZCARD", self._keys.hot(chain_id)) for chain_id in chain_ids]
        time, letters, *hot = await self._commands.batch(
            [("TIME",), ("XLEN", DEAD_LETTERS), *sizes]
        )
        now_ms = int(time[0]) * 1000 + int(time[1]) // 1000
        used, most = await self._memory()
        return CacheVitals(
            hot={c: _number(size) for c, size in zip(chain_ids, hot, strict=True)},
            followers={c: _follower(await self._cursors.status(c), now_ms) for c in chain_ids},
            beat_silent_seconds=await self._beat.silent_seconds(),
            dead_letters=_number(letters),
            memory_used=used,
            memory_most=most,
        )

    async def _memory(self) -> tuple[int | None, int | None]:
        """Return what is used and what may be; a cluster is several servers and tells nothing."""
        if self._commands.is_cluster:
            return None, None
        [told] = await self._commands.batch([("INFO", "memory")])
        return parse_memory(told)


def parse_memory(told: Any) -> tuple[int | None, int | None]:
    """Read the section ``memory`` of INFO, as text or as the client has parsed it."""
    if isinstance(told, bytes):
        lines = (line.partition(":") for line in told.decode("utf-8", "replace").splitlines())
        told = {name: value for name, _, value in lines}
    try:
        return int(told["used_memory"]), int(told["maxmemory"])
    except (KeyError, TypeError, ValueError):  # a managed server may hide it
        return None, None


def _follower(status: FollowerStatus, now_ms: int) -> FollowerVitals:
    cursor = status.state.cursor
    height = None if cursor is None else cursor.height
    lag = None if height is None or status.tip is None else max(0, status.tip - height)
    seen = status.seen_at_ms
    return FollowerVitals(height, lag, None if seen is None else max(0, now_ms - seen) / 1000)


def _number(answer: Any) -> int:
    """Return a size; a key of another type counts as empty."""
    return answer if isinstance(answer, int) else 0
