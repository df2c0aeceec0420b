"""Invalidated vaults whose refill has not begun: whoever asks the node next takes them along.

Key: ``bc:refill:{chain id}`` (sorted set, address -> when; a minute after the last newcomer). It is
a hint: each vault has a message of its own that sees to it, whatever happens here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from redis.asyncio import Redis

from cache.commands import Commands
from domain.values import Address, ChainId

LIFE_SECONDS = 60


class Companions:
    """Adds and takes; every method raises `CacheUnavailableError` when Redis does not answer."""

    def __init__(self, client: Redis) -> None:
        self._commands = Commands(client)

    async def add(self, chain_id: ChainId, addresses: Sequence[Address]) -> None:
        """Let these be taken along."""
        key, now = _key(chain_id), int(time.time())
        scored = [part for address in addresses for part in (now, address)]
        await self._commands.batch([("ZADD", key, *scored), ("EXPIRE", key, LIFE_SECONDS)])

    async def take(self, chain_id: ChainId, count: int) -> tuple[Address, ...]:
        """Return at most so many, those that wait longest first, and forget them."""
        if count <= 0:
            return ()
        (found,) = await self._commands.batch([("ZPOPMIN", _key(chain_id), count)])
        return tuple(address.decode() for address, _ in found)


def _key(chain_id: ChainId) -> str:
    return f"bc:refill:{chain_id}"
