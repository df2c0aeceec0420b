"""What happened to each vault that something happened to: why it is stale, in order.

Key: ``bc:events:{address}:{chain id}`` (list of JSON, the newest 20; a day after the last one).
A vault that is only refreshed has none. What is written here is also told in the short lists of
`cache.recent`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from cache.changes import ChangeKind
from cache.commands import Command, Commands, ScriptCall
from cache.keys import CHANGES, Keys
from cache.recent import RecentKind, RecentLog, entry
from domain.errors import CacheUnavailableError
from domain.events import Note, VaultEventKind
from domain.values import Address, BlockHeight, ChainId

KEPT = 20
SLOW_SECONDS = 1.0
"""A fetch that takes longer is worth a look: twice what a node takes for a request."""

_LIFE_MS = 86_400_000
_DETAIL_LENGTH = 300
_CHANGES_PORTION = 1_000
_SAME_MS = 5_000
"""So soon after an invalidation its author has said that it was he."""

_FAMILIES = {
    VaultEventKind.INVALIDATED: RecentKind.INVALIDATED,
    VaultEventKind.CLEARED: RecentKind.INVALIDATED,
    VaultEventKind.FETCH_FAILED: RecentKind.FAILED,
    VaultEventKind.PUBLISH_REFUSED: RecentKind.FAILED,
}


@dataclass(frozen=True, slots=True)
class VaultEvent:
    """One thing that happened to a vault.

    Attributes:
        at_ms: when, by Redis's clock; of the last time, if it happened several times.
        since_ms: when it happened first.
        kind: what happened.
        detail: by whom or why; empty: nobody said.
        height: the block height that it is about; None: none.
        times: how often, one after the other.
    """

    at_ms: int
    since_ms: int
    kind: VaultEventKind
    detail: str = ""
    height: BlockHeight | None = None
    times: int = 1


class VaultLog:
    """`domain.events.EventLog` in Redis, and its reader."""

    def __init__(self, client: Redis, *, hash_tags: bool = False) -> None:
        self._commands = Commands(client)
        self._keys = Keys(hash_tags)
        self._recent = RecentLog(client)

    async def note(self, chain_id: ChainId, notes: Mapping[Address, Note]) -> None:
        """Remember what happened to each vault. While Redis is away nothing is noted."""
        if not notes:
            return
        calls: list[ScriptCall] = [
            (
                (self._keys.events(address, chain_id),),
                (
                    note.kind.value,
                    note.detail[:_DETAIL_LENGTH],
                    "" if note.height is None else note.height,
                    KEPT,
                    _LIFE_MS,
                ),
            )
            for address, note in notes.items()
        ]
        with suppress(CacheUnavailableError):
            await self._commands.run("note", calls)
            await self._commands.batch(_summaries(chain_id, notes))

    async def took(self, chain_id: ChainId, addresses: Sequence[Address], seconds: float) -> None:
        """Remember a fetch that took long. While Redis is away nothing is noted."""
        if seconds < SLOW_SECONDS:
            return
        detail = f"{len(addresses)} vaults in one fetch"
        await self._recent.add(RecentKind.SLOW, chain_id, addresses, detail=detail, seconds=seconds)

    async def events(self, chain_id: ChainId, address: Address) -> list[VaultEvent]:
        """Return what is known to have happened to a vault, in order.

        The publishes and invalidations of all kinds come from the stream of changes (about the
        last 10,000 of all vaults), which tells no author; the rest from the vault's own list.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        [raw] = await self._commands.batch(
            [("LRANGE", self._keys.events(address, chain_id), 0, -1)]
        )
        # The newest stands first; of one millisecond, too.
        told = [_event(text) for text in reversed(raw)] if isinstance(raw, list) else []
        changes = await self._changes(chain_id, address)
        known = [event for event in told if event is not None]
        silent = [change for change in changes if not _is_told(change, known)]
        return sorted([*known, *silent], key=lambda event: event.at_ms)

    async def _changes(self, chain_id: ChainId, address: Address) -> list[VaultEvent]:
        found: list[VaultEvent] = []
        end = "+"
        while True:
            command = ("XREVRANGE", CHANGES, end, "-", "COUNT", _CHANGES_PORTION)
            [entries] = await self._commands.batch([command])
            if not isinstance(entries, list) or not entries:
                return found[::-1]
            changes = (_change(one, chain_id, address) for one in entries)
            found += [change for change in changes if change is not None]
            if len(entries) < _CHANGES_PORTION or len(found) >= KEPT:
                return found[KEPT - 1 :: -1]
            end = f"({entries[-1][0].decode()}"


def _summaries(chain_id: ChainId, notes: Mapping[Address, Note]) -> list[Command]:
    alike: defaultdict[tuple[RecentKind, str], list[Address]] = defaultdict(list)
    for address, note in notes.items():
        family = _FAMILIES.get(note.kind)
        if family is not None:
            alike[family, note.detail[:_DETAIL_LENGTH]].append(address)
    return [
        command
        for (family, detail), addresses in alike.items()
        for command in entry(family, chain_id, addresses, detail)
    ]


def _event(raw: bytes) -> VaultEvent | None:
    """Read one entry of a vault's list; None for what somebody damaged."""
    try:
        told = json.loads(raw)
        return VaultEvent(
            at_ms=int(told["at"]),
            since_ms=int(told["since"]),
            kind=VaultEventKind(told["kind"]),
            detail=str(told["detail"]),
            height=int(told["height"]) if told["height"] else None,
            times=int(told["times"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _change(raw: Any, chain_id: ChainId, address: Address) -> VaultEvent | None:
    entry_id, fields = raw
    told = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    if told.get(b"address") != address.encode() or told.get(b"chain_id") != b"%d" % chain_id:
        return None
    at_ms = int(entry_id.partition(b"-")[0])
    height = told.get(b"height")
    published = told[b"kind"] == ChangeKind.PUBLISHED.value.encode()
    return VaultEvent(
        at_ms=at_ms,
        since_ms=at_ms,
        kind=VaultEventKind.PUBLISHED if published else VaultEventKind.INVALIDATED,
        height=int(height) if height else None,
    )


def _is_told(change: VaultEvent, known: Sequence[VaultEvent]) -> bool:
    """Tell whether the author of a change has told of it himself."""
    return any(
        event.kind is change.kind
        and event.height == change.height
        and event.since_ms - change.at_ms >= -_SAME_MS
        and change.at_ms - event.at_ms <= _SAME_MS
        for event in known
    )
