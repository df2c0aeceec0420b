"""Counts of what happens seldom: each is sent at once, so that another process shows it."""

from __future__ import annotations

import structlog
from redis.asyncio import Redis

from cache.commands import Commands
from cache.counters import Counters
from domain.errors import CacheUnavailableError

_log = structlog.get_logger(__name__)


class Tally:
    """Adds to the counters that `RedisBalanceCache.stats` adds up."""

    def __init__(self, client: Redis) -> None:
        self._commands = Commands(client)

    async def add(self, **counts: int) -> None:
        """Add to counters by their names. While Redis is away nothing is counted."""
        added = {name: count for name, count in counts.items() if count}
        try:
            await self._commands.batch(Counters.commands(added))
        except CacheUnavailableError:
            _log.warning("not_counted", **added)
