"""How far the follower of each chain has come, and who he is.

Key: ``bc:follow:{chain id}`` (hash, life 30 days after the last step): ``state`` (JSON), ``tip``,
``seen_at`` (ms), ``token`` and ``deadline`` of the lease. The braces belong to the key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from redis.asyncio import Redis

from cache.commands import Commands
from domain.blocks import BlockMark
from domain.values import Address, BlockHeight, ChainId

LEASE_MS = 10_000
"""After this a follower who was killed is replaced."""

_LIFE_MS = 30 * 24 * 3600 * 1000


class SweepKind(StrEnum):
    """Why everything is gone through."""

    DEPOSIT = "deposit"  # L1 sent something to somebody: base assets are compared
    GAP = "gap"  # blocks were not read: what is true below a height is wrong
    RESTART = "restart"  # another chain: whatever is known is wrong, heights too


@dataclass(frozen=True, slots=True)
class Sweep:
    """A walk through all keys of a chain, and how far it has come.

    Attributes:
        kind: why.
        height: what is true at this height or later is right.
        place: where the walk goes on; 0: at the beginning.
    """

    kind: SweepKind
    height: BlockHeight
    place: int = 0


@dataclass(frozen=True, slots=True)
class FollowerState:
    """What the next step of a follower needs.

    Attributes:
        cursor: the last block whose changes are all declared; None: none yet.
        origin: a block near the chain's beginning, by which the chain is known.
        doubted_at_ms: since when the node tells of another chain, by Redis's clock.
        sweep: what is being gone through.
        next_sweep: what is to be gone through after it.
        durable_height: the cursor that was last written to the database.
        owed: whose refill at which height nobody may have asked for yet.
    """

    cursor: BlockMark | None = None
    origin: BlockMark | None = None
    doubted_at_ms: int | None = None
    sweep: Sweep | None = None
    next_sweep: Sweep | None = None
    durable_height: BlockHeight = 0
    owed: Mapping[Address, BlockHeight] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FollowerStatus:
    """What people want to know.

    Attributes:
        state: how far he has come.
        tip: the chain's newest block, as he saw it last.
        seen_at_ms: when he made his last step.
        active: somebody follows at this moment.
    """

    state: FollowerState
    tip: BlockHeight | None
    seen_at_ms: int | None
    active: bool


class FollowerCursors:
    """The states and leases of followers. Every method raises `CacheUnavailableError`."""

    def __init__(self, client: Redis, *, lease_ms: int = LEASE_MS) -> None:
        self._commands = Commands(client)
        self._lease_ms = lease_ms

    async def begin(self, chain_id: ChainId, token: str) -> tuple[int, FollowerState] | None:
        """Become the follower; return Redis's time (ms) and the state, None: somebody else is."""
        arguments = (token, self._lease_ms, _LIFE_MS)
        [answer] = await self._commands.run("follow_begin", [((_key(chain_id),), arguments)])
        if not answer[0]:
            return None
        return int(answer[1]), _decode(answer[2])

    async def save(
        self,
        chain_id: ChainId,
        token: str,
        state: FollowerState,
        *,
        tip: BlockHeight | None = None,
        ends: bool = False,
    ) -> int | None:
        """Write the state and prolong the lease, or end it; None: it is another's by now."""
        arguments = (
            token,
            0 if ends else self._lease_ms,
            _LIFE_MS,
            _encode(state),
            "" if tip is None else tip,
        )
        [now] = await self._commands.run("follow_save", [((_key(chain_id),), arguments)])
        return int(now) or None

    async def status(self, chain_id: ChainId) -> FollowerStatus:
        """Return how the follower of a chain stands."""
        fields = ("HMGET", _key(chain_id), "state", "tip", "seen_at", "deadline")
        [found, time] = await self._commands.batch([fields, ("TIME",)])
        state, tip, seen_at, deadline = found
        now_ms = int(time[0]) * 1000 + int(time[1]) // 1000
        return FollowerStatus(
            state=_decode(state or b""),
            tip=None if tip is None else int(tip),
            seen_at_ms=None if seen_at is None else int(seen_at),
            active=deadline is not None and int(deadline) > now_ms,
        )


def _key(chain_id: ChainId) -> str:
    return f"bc:follow:{{{chain_id}}}"


def _encode(state: FollowerState) -> str:
    return json.dumps(
        {
            "cursor": _mark_fields(state.cursor),
            "origin": _mark_fields(state.origin),
            "doubted_at_ms": state.doubted_at_ms,
            "sweep": _sweep_fields(state.sweep),
            "next_sweep": _sweep_fields(state.next_sweep),
            "durable_height": state.durable_height,
            "owed": dict(state.owed),
        },
        separators=(",", ":"),
    )


def _decode(raw: bytes) -> FollowerState:
    """Return the state; what cannot be read is none: the database or the tip is begun from."""
    try:
        found: dict[str, Any] = json.loads(raw)
        return FollowerState(
            cursor=_mark(found["cursor"]),
            origin=_mark(found["origin"]),
            doubted_at_ms=found["doubted_at_ms"],
            sweep=_sweep(found["sweep"]),
            next_sweep=_sweep(found["next_sweep"]),
            durable_height=found["durable_height"],
            owed={str(a): int(height) for a, height in found.get("owed", {}).items()},
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return FollowerState()


def _mark_fields(mark: BlockMark | None) -> list[object] | None:
    return None if mark is None else [mark.height, mark.block_id]


def _mark(fields: Any) -> BlockMark | None:
    return None if fields is None else BlockMark(int(fields[0]), str(fields[1]))


def _sweep_fields(sweep: Sweep | None) -> list[object] | None:
    return None if sweep is None else [sweep.kind.value, sweep.height, sweep.place]


def _sweep(fields: Any) -> Sweep | None:
    return None if fields is None else Sweep(SweepKind(fields[0]), int(fields[1]), int(fields[2]))
