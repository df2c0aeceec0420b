"""Batches on a Redis Cluster: what one server does in one command is split over the slots."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

from cache.keys import EPOCH
from cache.rest import NodeRests

_TIME = "return redis.call('TIME')"
"""A command without a key has no slot; a script goes where its key would be."""

_WITHOUT_KEY = ("INFO", "DBSIZE")


async def send_batch(
    client: RedisCluster, commands: Sequence[tuple[Any, ...]], rests: NodeRests
) -> list[Any]:
    """Send commands, one round trip to each node concerned, and return the answers in order.

    A node that is silent rests: a batch that concerns it fails at once, others do not.
    """
    if commands[0][0] == "SCAN":
        return [await _scan(client, command) for command in commands]
    some_key = next((key for key in map(_key, commands) if key is not None), EPOCH)
    parts = [_parts(command, some_key) for command in commands]
    sent = [command for part in parts for command in part]
    await client.initialize()
    places: dict[str, list[int]] = {}
    for place, command in enumerate(sent):
        places.setdefault(_node(client, command), []).append(place)
    told = await asyncio.gather(
        *(_ask(client, [sent[at] for at in ats], rests, node) for node, ats in places.items()),
        return_exceptions=True,
    )
    answers: list[Any] = [None] * len(sent)
    for ats, answered in zip(places.values(), told, strict=True):
        if isinstance(answered, BaseException):
            raise answered
        for at, answer in zip(ats, answered, strict=True):
            answers[at] = answer
    ordered = iter(answers)
    return [
        _joined(command, [next(ordered) for _ in part])
        for command, part in zip(commands, parts, strict=True)
    ]


async def _ask(
    client: RedisCluster, commands: Sequence[tuple[Any, ...]], rests: NodeRests, node: str
) -> list[Any]:
    with rests.asking(node):
        pipeline = client.pipeline()
        for command in commands:
            pipeline.execute_command(*command)
        told: list[Any] = await pipeline.execute(raise_on_error=False)
        for answer in told:
            # A node's death stands in the places of its answers. It is no refusal of a command.
            if isinstance(answer, Exception) and not isinstance(answer, ResponseError):
                raise answer
        return told


def _node(client: RedisCluster, command: tuple[Any, ...]) -> str:
    key = _key(command)
    node = client.get_default_node() if key is None else client.get_node_from_key(key)
    return "" if node is None else str(node.name)


def _key(command: tuple[Any, ...]) -> Any:
    """Return the key by which a command finds its node; None: it has none."""
    match command:
        case ("EVAL" | "EVALSHA", _, _, key, *_):
            return key
        case (name, key, *_) if name not in _WITHOUT_KEY:
            return key
        case _:
            return None


def _parts(command: tuple[Any, ...], some_key: Any) -> list[tuple[Any, ...]]:
    match command:
        case ("MGET", *keys):
            return [("GET", key) for key in keys]
        case ("TIME",):
            return [("EVAL", _TIME, 1, some_key)]
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
