"""How far the database has followed what is published, and who was read since.

Key: ``bc:kept`` (hash: ``position`` in the stream of changes, ``looked_at`` ms, ``walk:{c}``).
Where it is absent Redis has lost everything, or nobody ever kept anything: the same thing to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from redis.asyncio import Redis

from cache.commands import Command, Commands
from cache.keys import KEPT, Keys
from domain.values import Address, ChainId

_LIFE_SECONDS = 7 * 86_400


@dataclass(frozen=True, slots=True)
class KeeperState:
    """What a keeper goes on with.

    Attributes:
        position: the last change that was kept.
        looked_at_ms: until when it is known who was read, by Redis's clock.
        walks: where the walk through all values goes on, by chain; absent: no walk is due.
    """

    position: str
    looked_at_ms: int
    walks: Mapping[ChainId, int] = field(default_factory=dict)


class Keeper:
    """Every method raises `CacheUnavailableError` when Redis does not answer."""

    def __init__(self, client: Redis, *, hash_tags: bool = False) -> None:
        self._commands = Commands(client)
        self._keys = Keys(hash_tags)

    async def load(self) -> KeeperState | None:
        """Return the state, None where there is none."""
        [found] = await self._commands.batch([("HGETALL", KEPT)])
        if not isinstance(found, dict) or b"position" not in found:
            return None
        told = {name.decode(): value.decode() for name, value in found.items()}
        walks = {
            int(name.removeprefix("walk:")): int(place)
            for name, place in told.items()
            if name.startswith("walk:")
        }
        return KeeperState(told["position"], int(told.get("looked_at", "0")), walks)

    async def save(self, state: KeeperState) -> None:
        """Write the state; it replaces the one before."""
        fields: list[str | int] = ["position", state.position, "looked_at", state.looked_at_ms]
        for chain_id, place in state.walks.items():
            fields += [f"walk:{chain_id}", place]
        commands: list[Command] = [
            ("DEL", KEPT),
            ("HSET", KEPT, *fields),
            ("EXPIRE", KEPT, _LIFE_SECONDS),
        ]
        await self._commands.batch(commands)

    async def read_since(
        self, chain_id: ChainId, since_ms: int, limit: int
    ) -> Mapping[Address, int]:
        """Return who was read after a time, and when (ms, Redis's clock); the latest first."""
        [found] = await self._commands.batch(
            [
                (
                    "ZREVRANGEBYSCORE",
                    self._keys.hot(chain_id),
                    "+inf",
                    f"({since_ms}",
                    "WITHSCORES",
                    "LIMIT",
                    0,
                    limit,
                )
            ]
        )
        rows = found if isinstance(found, list) else []
        if rows and not isinstance(rows[0], list | tuple):  # RESP2 answers flat
            rows = list(zip(rows[::2], rows[1::2], strict=False))
        return {address.decode(): int(float(at)) for address, at in rows}

    async def now_ms(self) -> int:
        """Return Redis's time."""
        [time] = await self._commands.batch([("TIME",)])
        return int(time[0]) * 1000 + int(time[1]) // 1000
