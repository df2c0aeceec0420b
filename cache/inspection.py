"""All that Redis holds of one predicate on one chain, for people. Changes nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from cache.commands import Command, Commands
from cache.keys import Keys
from domain.values import Address, BlockHeight, ChainId

_FIELDS = (
    "generation",
    "published_generation",
    "minimum",
    "upper",
    "version",
    "invalidated_at",
    "lease_deadline",
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A key that only says "since then".

    Attributes:
        at_ms: what stands in it, ms; None: it cannot be read.
        left_ms: how long it still lives.
    """

    at_ms: int | None
    left_ms: int


@dataclass(frozen=True, slots=True)
class Heat:
    """A predicate's place in the hot set.

    Attributes:
        last_read_ms: when somebody looked at it.
        reads: how often lately; older reads have faded.
        due_ms: when it is to be refreshed.
    """

    last_read_ms: int
    reads: float
    due_ms: int | None


@dataclass(frozen=True, slots=True)
class Inside:
    """What Redis holds. Times are Redis's own, ms.

    Attributes:
        now_ms: when it was looked at.
        value_left_ms: how long the fresh value still lives; None: there is none.
        last_known_left_ms: how long the last known snapshot does; None: there is none.
        chain_flag: Bako's invalidation flag of this chain.
        global_flag: Bako's invalidation flag of all chains.
        generation: invalidations until now.
        published_generation: invalidations before the last publish.
        minimum: nothing below this block height may be published.
        upper: upper bound of the height of the last publish.
        version: publishes until now.
        invalidated_at_ms: the last invalidation; None: none is remembered.
        lease_left_ms: somebody is fetching, and for so long nobody else may; None: nobody is.
        heat: its place in the hot set; None: nobody looked at it lately.
    """

    now_ms: int
    value_left_ms: int | None
    last_known_left_ms: int | None
    chain_flag: Mark | None
    global_flag: Mark | None
    generation: int
    published_generation: int
    minimum: BlockHeight
    upper: BlockHeight
    version: int
    invalidated_at_ms: int | None
    lease_left_ms: int | None
    heat: Heat | None

    @property
    def is_invalidated(self) -> bool:
        """Nothing was published since the last invalidation, or a flag stands."""
        flagged = self.chain_flag is not None or self.global_flag is not None
        return flagged or self.generation > self.published_generation


class Inspector:
    """Looks into the keys of predicates. Methods raise `CacheUnavailableError`."""

    def __init__(self, client: Redis, *, hot_life_seconds: float, hash_tags: bool = False) -> None:
        self._commands = Commands(client)
        self._keys = Keys(hash_tags)
        self._memory_ms = hot_life_seconds * 500  # as `Lives.read_memory_seconds`

    async def look(self, chain_id: ChainId, address: Address) -> Inside:
        """Return what is held of one predicate on one chain, in one round trip."""
        keys = self._keys
        flags = (keys.chain_flag(address, chain_id), keys.global_flag(address))
        commands: list[Command] = [
            ("TIME",),
            ("PTTL", keys.value(address, chain_id)),
            ("PTTL", keys.last_known(address, chain_id)),
            *(command for flag in flags for command in (("GET", flag), ("PTTL", flag))),
            ("HMGET", keys.state(address, chain_id), *_FIELDS),
            ("ZSCORE", keys.hot(chain_id), address),
            ("ZSCORE", keys.due(chain_id), address),
            ("HGET", keys.reads(chain_id), address),
        ]
        told = await self._commands.batch(commands)
        now_ms = int(told[0][0]) * 1000 + int(told[0][1]) // 1000
        fields = told[7] if isinstance(told[7], list) else [None] * len(_FIELDS)
        state = dict(zip(_FIELDS, map(_whole, fields), strict=True))
        lease_left = state["lease_deadline"] - now_ms
        return Inside(
            now_ms=now_ms,
            value_left_ms=_left(told[1]),
            last_known_left_ms=_left(told[2]),
            chain_flag=_mark(told[3], told[4]),
            global_flag=_mark(told[5], told[6]),
            generation=state["generation"],
            published_generation=state["published_generation"],
            minimum=state["minimum"],
            upper=state["upper"],
            version=state["version"],
            invalidated_at_ms=state["invalidated_at"] or None,
            lease_left_ms=lease_left if lease_left > 0 else None,
            heat=_heat(told[8], told[9], told[10], now_ms, self._memory_ms),
        )

    async def hottest(self, chain_id: ChainId, looked_at: int) -> list[tuple[Address, Heat]]:
        """Return those that are read most, of the ones that were read last.

        Looks at `looked_at` predicates at most, however many are hot.
        """
        hot_key, due_key = self._keys.hot(chain_id), self._keys.due(chain_id)
        [time, found] = await self._commands.batch(
            [("TIME",), ("ZREVRANGE", hot_key, 0, looked_at - 1)]
        )
        names: list[bytes] = found if isinstance(found, list) else []
        if not names:
            return []
        read_at, due_at, counts = await self._commands.batch(
            [
                ("ZMSCORE", hot_key, *names),
                ("ZMSCORE", due_key, *names),
                ("HMGET", self._keys.reads(chain_id), *names),
            ]
        )
        now_ms = int(time[0]) * 1000 + int(time[1]) // 1000
        heats = [
            (name.decode(), _heat(read, due, count, now_ms, self._memory_ms))
            for name, read, due, count in zip(names, read_at, due_at, counts, strict=True)
        ]
        known = [(address, heat) for address, heat in heats if heat is not None]
        return sorted(known, key=lambda pair: -pair[1].reads)


def _whole(raw: bytes | None) -> int:
    return int(raw) if raw is not None and raw.isdigit() else 0


def _left(raw: Any) -> int | None:
    return raw if isinstance(raw, int) and raw > 0 else None


def _mark(text: Any, left: Any) -> Mark | None:
    if text is None:
        return None
    at_ms = _whole(text) if isinstance(text, bytes) else 0
    return Mark(at_ms or None, _left(left) or 0)


def _heat(read_at: Any, due_at: Any, reads: Any, now_ms: int, memory_ms: float) -> Heat | None:
    if read_at is None or isinstance(read_at, Exception):
        return None
    count, at_ms = _pair(reads)
    faded = count * math.exp(min(0.0, (at_ms - now_ms) / memory_ms))
    known_due = due_at is not None and not isinstance(due_at, Exception)
    return Heat(int(float(read_at)), faded, int(float(due_at)) if known_due else None)


def _pair(raw: Any) -> Sequence[float]:
    """Read ``count:time``; what somebody damaged counts as nothing."""
    try:
        count, at_ms = raw.split(b":")
        return float(count), float(at_ms)
    except (ValueError, AttributeError):
        return 0.0, 0.0
