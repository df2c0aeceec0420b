"""What operators ask of the whole key space. Walks it by SCAN: never on a request path."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from redis.asyncio import Redis

from cache.commands import Commands
from domain.errors import InvalidAddressError
from domain.values import Address, parse_address

_SCAN_PORTION = 1_000
_PATTERNS = ("balance:*0x*", "bc:state:*0x*")
"""Stored values, flags, and the states of what is being fetched for the first time."""


class Administration:
    """Reads keys for people."""

    def __init__(self, client: Redis) -> None:
        self._commands = Commands(client)

    async def keys(self, pattern: str, limit: int) -> tuple[Sequence[str], int]:
        """Return up to `limit` keys that match, sorted, and how many match in all.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        found = {key async for key in self._scan(pattern)}
        return sorted(found)[:limit], len(found)

    async def addresses(self) -> Sequence[Address]:
        """Return every predicate of which anything is stored or being fetched.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        found: set[Address] = set()
        for pattern in _PATTERNS:
            async for key in self._scan(pattern):
                found.update(_addresses_in(key))
        return sorted(found)

    async def _scan(self, pattern: str) -> AsyncIterator[str]:
        cursor = 0
        while True:
            [answer] = await self._commands.batch(
                [("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_PORTION)]
            )
            cursor = int(answer[0])
            for key in answer[1]:
                yield key.decode("utf-8", "replace")
            if cursor == 0:
                return


def _addresses_in(key: str) -> list[Address]:
    addresses = []
    for part in key.replace("{", ":").replace("}", ":").split(":"):
        try:
            addresses.append(parse_address(part))
        except InvalidAddressError:
            continue
    return addresses
