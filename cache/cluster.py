"""Batches on a Redis Cluster: what one server does in one command is split over the slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

_TIME = ("EVAL", "return redis.call('TIME')", 0)
"""A command without a key has no slot; a script without one may run anywhere."""


async def send_batch(client: RedisCluster, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Send commands, one round trip to each node concerned, and return the answers in order."""
    if commands[0][0] == "SCAN":
        return [await _scan(client, command) for command in commands]
    parts = [_parts(command) for command in commands]
    pipeline = client.pipeline()
    for part in parts:
        for command in part:
            pipeline.execute_command(*command)
    told = await pipeline.execute(raise_on_error=False)
    for answer in told:
        # One node's death stands in the places of its answers. It is no refusal of a command.
        if isinstance(answer, Exception) and not isinstance(answer, ResponseError):
            raise answer
    answers = iter(told)
    return [
        _joined(command, [next(answers) for _ in part])
        for command, part in zip(commands, parts, strict=True)
    ]


def _parts(command: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    match command:
        case ("MGET", *keys):
            return [("GET", key) for key in keys]
        case ("TIME",):
            return [_TIME]
        case _:
            return [command]


def _joined(command: tuple[Any, ...], answers: list[Any]) -> Any:
    if command[0] != "MGET":
        return answers[0]
    return [_text(answer) for answer in answers]


def _text(answer: Any) -> Any:
    """MGET reads a key of another type as absent; GET refuses it."""
    if not isinstance(answer, ResponseError):
        return answer
    if str(answer).startswith("WRONGTYPE"):
        return None
    raise answer  # a flag that could not be read is not an absent flag


async def _scan(client: RedisCluster, command: tuple[Any, ...]) -> list[Any]:
    _, _, _, pattern, _, portion = command
    return [0, [key async for key in client.scan_iter(match=pattern, count=portion)]]
