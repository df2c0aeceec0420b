"""Counts of what happens seldom: each is sent at once, so that another process shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis

from cache.commands import Commands
from cache.counters import Counters
from domain.errors import CacheUnavailableError

_log = structlog.get_logger(__name__)


_COUNTED_TOGETHER = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """What one caller counts; the same again is counted again."""

    by_name: Mapping[str, int]


class Tally:
    """Adds to the counters that `RedisBalanceCache.stats` adds up."""

    def __init__(self, client: Redis) -> None:
        commands = Commands(client)
        self._commands = commands
        self._added = commands.shared(self._add, most=_COUNTED_TOGETHER)

    async def add(self, **counts: int) -> None:
        """Add to counters by their names. While Redis is away nothing is counted."""
        added = {name: count for name, count in counts.items() if count}
        try:
            await self._added.ask([_Counts(added)])
        except CacheUnavailableError:
            _log.warning("not_counted", **added)

    async def _add(self, counts: Sequence[_Counts]) -> list[None]:
        """Send what is counted at one time in one round trip."""
        added: Counter[str] = Counter()
        for one in counts:
            added.update(one.by_name)
        await self._commands.batch(Counters.commands(added))
        return [None] * len(counts)
