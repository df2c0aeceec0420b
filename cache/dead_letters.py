"""Messages that nobody could work on: kept for an operator to list and replay.

Keys: ``bc:dead-letters`` (stream, the newest 10,000; 30 days after the last one) and
``bc:deliveries:{message id}`` (string, a count; a day after the last delivery).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from cache.commands import Commands
from domain.errors import CacheUnavailableError

DEAD_LETTERS = "bc:dead-letters"
KEPT = 10_000
LIFE_SECONDS = 30 * 86_400
_COUNT_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message.

    Attributes:
        task: the task's name.
        args: its positional arguments.
        kwargs: its named arguments.
        queue: the lane that it came through.
        message_id: the task id that it had.
        reason: why nobody could work on it.
        entry_id: its place in the list, which begins with the time in ms; empty: not there yet.
    """

    task: str
    args: Sequence[object]
    kwargs: Mapping[str, object]
    queue: str
    message_id: str
    reason: str
    entry_id: str = ""


class DeadLetters:
    """The list, and the count of deliveries that tells a poisonous message.

    Every method raises `CacheUnavailableError` when Redis does not answer.
    """

    def __init__(self, client: Redis) -> None:
        self._commands = Commands(client)

    async def add(self, letter: DeadLetter) -> None:
        """Keep a message."""
        fields = {
            "task": letter.task,
            "args": json.dumps(list(letter.args), default=str),
            "kwargs": json.dumps(dict(letter.kwargs), default=str),
            "queue": letter.queue,
            "message_id": letter.message_id,
            "reason": letter.reason,
        }
        flat = [part for pair in fields.items() for part in pair]
        answers = await self._commands.batch(
            [
                ("XADD", DEAD_LETTERS, "MAXLEN", "~", KEPT, "*", *flat),
                ("EXPIRE", DEAD_LETTERS, LIFE_SECONDS),
            ]
        )
        if isinstance(answers[0], Exception):  # Redis is full, or the key is no stream
            raise CacheUnavailableError(f"a dead letter cannot be kept: {answers[0]}")

    async def listed(self, limit: int = KEPT) -> list[DeadLetter]:
        """Return the messages, the oldest first."""
        command = ("XRANGE", DEAD_LETTERS, "-", "+", "COUNT", limit)
        (entries,) = await self._commands.batch([command])
        return [_letter(entry) for entry in entries]

    async def remove(self, entry_id: str) -> None:
        """Forget one: it has been replayed."""
        await self._commands.batch([("XDEL", DEAD_LETTERS, entry_id)])

    async def delivered(self, message_id: str) -> int:
        """Count a delivery; return how many had no orderly end, this one included."""
        key = f"bc:deliveries:{message_id}"
        answers = await self._commands.batch([("INCR", key), ("EXPIRE", key, _COUNT_SECONDS)])
        return int(answers[0])

    async def ended(self, message_id: str) -> None:
        """Forget the count: the work came to an orderly end. Without Redis it ends by itself."""
        with suppress(CacheUnavailableError):
            await self._commands.batch([("DEL", f"bc:deliveries:{message_id}")])


def _letter(entry: Any) -> DeadLetter:
    """Read an entry in either form of the protocol."""
    entry_id, fields = entry
    pairs = (
        fields.items() if isinstance(fields, dict) else zip(fields[::2], fields[1::2], strict=True)
    )
    told = {key.decode(): value.decode() for key, value in pairs}
    return DeadLetter(
        told["task"],
        json.loads(told["args"]),
        json.loads(told["kwargs"]),
        told["queue"],
        told["message_id"],
        told["reason"],
        entry_id.decode(),
    )
