"""What operators ask of the whole key space. Walks it by SCAN, for a moment at most."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from cache.commands import Commands

_SCAN_PORTION = 1_000
_WALK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """Keys that match a pattern.

    Attributes:
        shown: some of them, sorted.
        count: how many were met.
        complete: all keys were looked at; else there may be more.
    """

    shown: Sequence[str]
    count: int
    complete: bool


class Administration:
    """Reads keys for people."""

    def __init__(self, client: Redis) -> None:
        self._commands = Commands(client)

    async def keys(self, pattern: str, limit: int) -> FoundKeys:
        """Return up to `limit` keys that match.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        met: set[str] = set()
        cursor, ends_at = 0, time.monotonic() + _WALK_SECONDS
        while True:
            [answer] = await self._commands.batch(
                [("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_PORTION)]
            )
            cursor = int(answer[0])
            met.update(key.decode("utf-8", "replace") for key in answer[1])
            if cursor == 0 or time.monotonic() > ends_at:
                return FoundKeys(sorted(met)[:limit], len(met), complete=cursor == 0)
