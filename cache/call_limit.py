"""How often one caller may call, counted for all processes together.

Key, with a life of two windows: ``bc:calls:{caller}:{window}`` (string, a count).
"""

from __future__ import annotations

import hashlib
import time

from redis.asyncio import Redis

from cache.commands import Commands

WINDOW_SECONDS = 60


class CallLimit:
    """Counts calls per caller in windows of a minute."""

    def __init__(self, client: Redis, calls_per_minute: int) -> None:
        self._commands = Commands(client)
        self._limit = calls_per_minute

    async def take(self, caller: str) -> int:
        """Count one call; return 0 if it is allowed, else the seconds until the next window.

        Args:
            caller: who calls; only its hash becomes part of a key.

        Raises:
            CacheUnavailableError: Redis does not answer, nothing was counted.
        """
        window, passed = divmod(int(time.time()), WINDOW_SECONDS)
        name = hashlib.sha256(caller.encode()).hexdigest()[:32]
        key = f"bc:calls:{name}:{window}"
        # The window is part of the key, so that a key without a life cannot come to be.
        answers = await self._commands.batch([("INCR", key), ("EXPIRE", key, 2 * WINDOW_SECONDS)])
        return 0 if int(answers[0]) <= self._limit else WINDOW_SECONDS - passed
