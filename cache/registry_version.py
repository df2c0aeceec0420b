"""Tells all processes that what they remember of the registry is no longer so.

Key: ``bc:registry`` (string): another text after each change that was told. Its life only has to
be longer than what any process remembers; without the key nothing was told lately.
"""

from __future__ import annotations

import secrets

from redis.asyncio import Redis

from cache.commands import Commands
from cache.keys import REGISTRY

_LIFE_SECONDS = 3_600


class RegistryVersion:
    """Changes the version; it is read along with sessions (`cache.sessions`)."""

    def __init__(self, client: Redis) -> None:
        self._commands = Commands(client)

    async def changed(self) -> None:
        """Have every process ask the database again.

        Raises:
            CacheUnavailableError: Redis does not answer, and nobody was told.
        """
        await self._commands.batch([("SET", REGISTRY, secrets.token_hex(8), "EX", _LIFE_SECONDS)])
