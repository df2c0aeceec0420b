"""When beat was last heard of: a dead beat is silent, and nobody else would say so.

Keys: ``bc:beat`` (string, Redis's time in ms; a day), ``bc:beat:told`` (string; as long as nobody
needs to be told again).
"""

from __future__ import annotations

from redis.asyncio import Redis

from cache.commands import Commands
from cache.keys import BEAT

_LIFE_SECONDS = 86_400
_TOLD = f"{BEAT}:told"


class Heartbeat:
    """Every method raises `CacheUnavailableError` when Redis does not answer."""

    def __init__(self, client: Redis) -> None:
        self._commands = Commands(client)

    async def note(self) -> None:
        """Write that beat was heard of now: something that only beat enqueues has arrived."""
        [time] = await self._commands.batch([("TIME",)])
        await self._commands.batch([("SET", BEAT, _milliseconds(time), "EX", _LIFE_SECONDS)])

    async def silent_seconds(self) -> float | None:
        """Return how long ago that was; None: not in the last day, or never."""
        time, noted = await self._commands.batch([("TIME",), ("GET", BEAT)])
        if not isinstance(noted, bytes) or not noted.isdigit():
            return None
        return max(0.0, (_milliseconds(time) - int(noted)) / 1000)

    async def may_tell(self, seconds: float) -> bool:
        """Return True to one of all processes in so many seconds."""
        life = max(1, int(seconds * 1000))
        [answer] = await self._commands.batch([("SET", _TOLD, 1, "NX", "PX", life)])
        return answer is not None


def _milliseconds(time: tuple[int | bytes, int | bytes]) -> int:
    seconds, microseconds = int(time[0]), int(time[1])
    return seconds * 1000 + microseconds // 1000
