"""Counters and settings for people. Walks the keys: never on a request path."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from redis.exceptions import ResponseError

from cache.commands import Commands
from cache.counters import Counters
from cache.keys import COUNTERS, VALUE_PATTERN, chain_of_value
from cache.lives import Lives
from domain.errors import CacheUnavailableError

_SCAN_PORTION = 1_000
_WALK_SECONDS = 0.05
"""Who asks for statistics is answered soon: in a large database, with lower bounds."""


class Statistics:
    """Adds up what all processes counted."""

    def __init__(self, commands: Commands, counters: Counters, lives: Lives) -> None:
        self._commands = commands
        self._counters = counters
        self._lives = lives

    async def read(self) -> dict[str, object]:
        """Return counters, numbers of stored values and settings.

        ``total_keys`` and ``by_chain`` count values alone, never flags; ``lower_bounds`` tells
        that there were too many keys to look at them all.
        """
        counted = await self._add_up()
        by_chain, complete = await self._count_values()
        read = sum(counted.get(name, 0) for name in ("hits", "stale", "misses"))
        return {
            "type": "redis",
            "ttl": self._lives.fresh_seconds,
            "keep_seconds": self._lives.keep_seconds,
            "flag_seconds": self._lives.flag_seconds,
            "hit_rate": round(100 * counted.get("hits", 0) / read, 2) if read else 0.0,
            **{name: counted.get(name, 0) for name in _ALWAYS},
            **counted,
            "total_keys": sum(by_chain.values()),
            "by_chain": dict(by_chain),
            "lower_bounds": not complete,
        }

    async def counts(self) -> dict[str, int]:
        """Return the counters alone; walks no keys."""
        return await self._add_up()

    async def reset(self) -> None:
        """Set every counter to zero."""
        self._counters.take()
        await self._commands.batch([("DEL", COUNTERS)])

    async def flush(self) -> None:
        """Send what waits to be counted; while Redis is away it goes on waiting."""
        taken = self._counters.take()
        try:
            await self._commands.batch(self._counters.commands(taken))
        except CacheUnavailableError:
            self._counters.give_back(taken)

    async def _add_up(self) -> dict[str, int]:
        taken = self._counters.take()
        try:
            answers = await self._commands.batch(
                [*self._counters.commands(taken), ("HGETALL", COUNTERS)]
            )
        except CacheUnavailableError:
            self._counters.give_back(taken)
            raise
        return _whole_numbers(answers[-1])

    async def _count_values(self) -> tuple[Counter[str], bool]:
        """Return the numbers of values, and whether all keys were looked at."""
        by_chain: Counter[str] = Counter()
        cursor, ends_at = 0, time.monotonic() + _WALK_SECONDS
        while True:
            [answer] = await self._commands.batch(
                [("SCAN", cursor, "MATCH", VALUE_PATTERN, "COUNT", _SCAN_PORTION)]
            )
            if isinstance(answer, ResponseError):
                return by_chain, False
            cursor, keys = int(answer[0]), answer[1]
            for key in keys:
                chain_id = chain_of_value(key.decode("utf-8", "replace"))
                if chain_id is not None:
                    by_chain[chain_id] += 1
            if cursor == 0 or time.monotonic() > ends_at:
                return by_chain, cursor == 0


_ALWAYS = ("hits", "stale", "misses", "foreign", "poisoned", "invalidations", "published")


def _whole_numbers(fields: Any) -> dict[str, int]:
    if not isinstance(fields, dict):  # damaged from outside
        return {}
    return {
        name.decode(): int(value) for name, value in fields.items() if value.lstrip(b"-").isdigit()
    }
