"""What happened lately, whoever it happened to: short lists for people.

Keys: ``bc:recent:invalidated``, ``bc:recent:failed``, ``bc:recent:warmed`` and
``bc:recent:slow`` (streams, about the newest 200; a day after the last entry).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis.asyncio import Redis

from cache.commands import Command, Commands
from domain.errors import CacheUnavailableError
from domain.values import Address, ChainId

KEPT = 200
_LIFE_SECONDS = 86_400
_SHOWN_ADDRESSES = 5


class RecentKind(StrEnum):
    """Which list."""

    INVALIDATED = "invalidated"
    FAILED = "failed"
    WARMED = "warmed"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Recent:
    """One entry.

    Attributes:
        at_ms: when, by Redis's clock.
        chain_id: on which chain; None: on all.
        addresses: some of the vaults.
        count: how many vaults it was.
        detail: by whom or why.
        seconds: how long it took; None: nobody measured.
    """

    at_ms: int
    chain_id: ChainId | None
    addresses: Sequence[Address]
    count: int
    detail: str
    seconds: float | None = None


class RecentLog:
    """Adds to the lists and reads them."""

    def __init__(self, client: Redis) -> None:
        self._commands = Commands(client)

    async def add(
        self,
        kind: RecentKind,
        chain_id: ChainId | None,
        addresses: Sequence[Address],
        *,
        detail: str,
        seconds: float | None = None,
    ) -> None:
        """Add one entry. While Redis is away nothing is added."""
        with suppress(CacheUnavailableError):
            await self._commands.batch(entry(kind, chain_id, addresses, detail, seconds))

    async def latest(self, kind: RecentKind, limit: int) -> list[Recent]:
        """Return the newest entries, the newest first.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        command = ("XREVRANGE", _key(kind), "+", "-", "COUNT", limit)
        [found] = await self._commands.batch([command])
        return [_recent(one) for one in found] if isinstance(found, list) else []


def entry(
    kind: RecentKind,
    chain_id: ChainId | None,
    addresses: Sequence[Address],
    detail: str,
    seconds: float | None = None,
) -> list[Command]:
    """Return the commands that add one entry."""
    key = _key(kind)
    fields: Command = (
        *("chain_id", "" if chain_id is None else chain_id),
        *("addresses", ",".join(addresses[:_SHOWN_ADDRESSES])),
        *("count", len(addresses)),
        *("detail", detail),
        *("seconds", "" if seconds is None else f"{seconds:.3f}"),
    )
    return [
        ("XADD", key, "MAXLEN", "~", KEPT, "*", *fields),
        ("EXPIRE", key, _LIFE_SECONDS),
    ]


def _key(kind: RecentKind) -> str:
    return f"bc:recent:{kind.value}"


def _recent(raw: Any) -> Recent:
    """Read an entry in either form of the protocol."""
    entry_id, fields = raw
    pairs = (
        fields.items() if isinstance(fields, dict) else zip(fields[::2], fields[1::2], strict=True)
    )
    told = {key.decode(): value.decode() for key, value in pairs}
    return Recent(
        at_ms=int(entry_id.partition(b"-")[0]),
        chain_id=int(told["chain_id"]) if told["chain_id"] else None,
        addresses=told["addresses"].split(",") if told["addresses"] else [],
        count=int(told["count"]),
        detail=told["detail"],
        seconds=float(told["seconds"]) if told["seconds"] else None,
    )
