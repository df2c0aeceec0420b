"""The stream of changes: who was published or invalidated, for whoever pushes it on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis.asyncio import Redis

from cache.commands import Commands
from cache.connection import SOCKET_SECONDS
from cache.keys import CHANGES
from domain.values import Address, BlockHeight, ChainId

_BLOCK_MS = int(SOCKET_SECONDS * 500)
"""Half of what the connection allows a command: an idle stream is no error."""

_PORTION = 500
_START = "0-0"


class ChangeKind(StrEnum):
    """What happened."""

    PUBLISHED = "published"
    INVALIDATED = "invalidated"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of what readers see.

    Attributes:
        position: where it stands in the stream; resume after it.
        kind: what happened.
        address: the predicate.
        chain_id: the chain.
        height: of the snapshot, or what the invalidation demanded; None when it named none.
        version: of the published snapshot; None for an invalidation.
    """

    position: str
    kind: ChangeKind
    address: Address
    chain_id: ChainId
    height: BlockHeight | None
    version: int | None


class ChangeStream:
    """Follows the stream. It keeps about the last 10,000 changes of a day.

    With hash tags there is none: no key is in reach of every slot's scripts.
    """

    def __init__(self, client: Redis) -> None:
        self._commands = Commands(client)

    async def follow(self, after: str | None = None) -> AsyncIterator[Change]:
        """Yield changes for ever, from now on or after a position, each once and in order.

        Who resumes after a position that the stream no longer holds gets what it holds: then
        changes were missed, and the reader must read afresh.

        Raises:
            CacheUnavailableError: Redis does not answer; resume after the last position.
        """
        position = after if after is not None else await self._end()
        while True:
            changes = await self._read(position)
            for change in changes:
                position = change.position
                yield change
            if not changes:
                await asyncio.sleep(0)

    async def _end(self) -> str:
        [last] = await self._commands.batch([("XREVRANGE", CHANGES, "+", "-", "COUNT", 1)])
        return str(last[0][0], "ascii") if last and isinstance(last, list) else _START

    async def _read(self, position: str) -> list[Change]:
        [found] = await self._commands.batch(
            [("XREAD", "COUNT", _PORTION, "BLOCK", _BLOCK_MS, "STREAMS", CHANGES, position)]
        )
        entries = found[0][1] if found and isinstance(found, list) else []
        return [_parse(entry_id, fields) for entry_id, fields in entries]


def _parse(entry_id: bytes, fields: Any) -> Change:
    told = {str(name, "ascii"): str(value, "ascii") for name, value in fields.items()}
    return Change(
        position=str(entry_id, "ascii"),
        kind=ChangeKind(told["kind"]),
        address=told["address"],
        chain_id=int(told["chain_id"]),
        height=int(told["height"]) if told["height"] else None,
        version=int(told["version"]) if "version" in told else None,
    )
