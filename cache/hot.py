"""The hot set: who is read, and when each must be refreshed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cache.commands import Argument, Commands, ScriptCall
from cache.keys import Keys
from cache.lives import Lives, milliseconds
from domain.values import Address, ChainId


class HotSet:
    """Per chain: the times of the last reads, how many reads there were, and due times."""

    def __init__(self, commands: Commands, keys: Keys, lives: Lives) -> None:
        self._commands = commands
        self._keys = keys
        self._lives = lives

    async def mark_read(self, chain_id: ChainId, addresses: Sequence[Address]) -> None:
        """Note that somebody looks at these predicates."""
        unique = list(dict.fromkeys(addresses))
        if not unique:
            return
        keys = list(hot_keys(self._keys, chain_id))
        values = [self._keys.value(address, chain_id) for address in unique]
        arguments: list[Argument] = [
            milliseconds(self._lives.hot_life_seconds),
            self._lives.ahead_ms(milliseconds(self._lives.fresh_seconds)),
            milliseconds(self._lives.read_memory_seconds),
            len(unique),
            *unique,
        ]
        if self._keys.hash_tags:  # the values are in slots of their own
            arguments += await self._commands.batch([("PTTL", value) for value in values])
        else:
            keys += values
        await self._commands.run("mark_read", [(keys, arguments)])

    async def due(self, chain_id: ChainId, limit: int) -> list[Address]:
        """Return hot predicates that are due, the most overdue first."""
        keys = hot_keys(self._keys, chain_id)
        arguments = (milliseconds(self._lives.hot_life_seconds), limit)
        [found] = await self._commands.run("due", [(keys, arguments)])
        return [address.decode() for address in found]

    async def reschedule(
        self, chain_ids: Iterable[ChainId], addresses: Iterable[Address], delay_ms: int
    ) -> None:
        """Say anew when these are due, if they are hot."""
        pairs: list[Argument] = [part for address in addresses for part in (delay_ms, address)]
        calls: list[ScriptCall] = [((self._keys.due(chain_id),), pairs) for chain_id in chain_ids]
        if pairs:
            await self._commands.run("reschedule", calls)


def hot_keys(keys: Keys, chain_id: ChainId) -> tuple[str, str, str, str]:
    """Return the keys of the hot set in the order in which the scripts want them."""
    return keys.hot(chain_id), keys.due(chain_id), keys.reads(chain_id), keys.watched(chain_id)
