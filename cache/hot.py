"""The hot set: who is read, and when each must be refreshed."""

from __future__ import annotations

from collections.abc import Sequence

from cache import keys as names
from cache.commands import Argument, Commands
from cache.keys import Keys
from cache.lives import Lives, milliseconds
from domain.values import Address, ChainId


class HotSet:
    """Two sorted sets per chain: time of the last read, and due time."""

    def __init__(self, commands: Commands, keys: Keys, lives: Lives) -> None:
        self._commands = commands
        self._keys = keys
        self._lives = lives

    async def mark_read(self, chain_id: ChainId, addresses: Sequence[Address]) -> None:
        """Note that somebody looks at these predicates."""
        unique = list(dict.fromkeys(addresses))
        if not unique:
            return
        keys = [names.hot(chain_id), names.due(chain_id)]
        keys += (self._keys.value(address, chain_id) for address in unique)
        ahead_ms = self._lives.ahead_ms(milliseconds(self._lives.fresh_seconds))
        arguments: list[Argument] = [
            milliseconds(self._lives.hot_life_seconds),
            ahead_ms,
            *unique,
        ]
        await self._commands.run("mark_read", [(keys, arguments)])

    async def due(self, chain_id: ChainId, limit: int) -> list[Address]:
        """Return hot predicates that are due, the most overdue first."""
        keys = (names.hot(chain_id), names.due(chain_id))
        arguments = (milliseconds(self._lives.hot_life_seconds), limit)
        [found] = await self._commands.run("due", [(keys, arguments)])
        return [address.decode() for address in found]
