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
from cache.keys import CHANGES, EPOCH
from domain.values import Address, BlockHeight, ChainId

_BLOCK_MS = int(SOCKET_SECONDS * 500)
"""Half of what the connection allows a command: an idle stream is no error."""

PORTION = 500
"""So many changes are read at once, at most."""

START = "0-0"
"""The position before every change."""


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


@dataclass(frozen=True, slots=True)
class Extent:
    """What the stream holds.

    Attributes:
        first: the position of its oldest change; None: it holds none.
        last: the position of its newest change; None: it holds none.
        epoch: the name of the server's history; None when nobody has named it yet.
    """

    first: str | None
    last: str | None
    epoch: str | None


class ChangeStream:
    """Follows the stream. It keeps about the last 10,000 changes of a day.

    With hash tags there is none: no key is in reach of every slot's scripts.

    Every method raises `CacheUnavailableError` when Redis does not answer.
    """

    def __init__(self, client: Redis) -> None:
        self._commands = Commands(client)

    async def extent(self) -> Extent:
        """Return what the stream holds now."""
        first, last, epoch = await self._commands.batch(
            [
                ("XRANGE", CHANGES, "-", "+", "COUNT", 1),
                ("XREVRANGE", CHANGES, "+", "-", "COUNT", 1),
                ("GET", EPOCH),
            ]
        )
        name = epoch.decode("utf-8", "replace") if isinstance(epoch, bytes) else None
        return Extent(_position(first), _position(last), name)

    async def read(self, after: str) -> list[Change]:
        """Return up to 500 changes after a position, in order.

        Waits half a second for one when there is none; empty: none came.
        """
        [found] = await self._commands.batch(
            [("XREAD", "COUNT", PORTION, "BLOCK", _BLOCK_MS, "STREAMS", CHANGES, after)]
        )
        entries = found[0][1] if found and isinstance(found, list) else []
        return [_parse(entry_id, fields) for entry_id, fields in entries]

    async def follow(self, after: str | None = None) -> AsyncIterator[Change]:
        """Yield changes for ever, from now on or after a position, each once and in order.

        Who resumes after a position that the stream no longer holds gets what it holds: then
        changes were missed, and the reader must read afresh.

        Raises:
            CacheUnavailableError: Redis does not answer; resume after the last position.
        """
        position = after if after is not None else (await self.extent()).last or START
        while True:
            changes = await self.read(position)
            for change in changes:
                position = change.position
                yield change
            if not changes:
                await asyncio.sleep(0)


def _position(entries: Any) -> str | None:
    return str(entries[0][0], "ascii") if entries and isinstance(entries, list) else None


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
