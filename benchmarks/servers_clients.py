"""What the hot path's question costs by client of Redis, all in this process, in turns.

Every client asks the same of the same server, so many at once, and every answer is compared with
the first. The processor time is that of this process, clients' threads included.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import coredis
import glide
from redis.asyncio import Redis

from benchmarks.common import refuse
from cache.tracking_connection import Server, TrackingConnection, pack

AT_ONCE = 16
ROUNDS, SECONDS = 30, 0.1
Question = tuple[Sequence[str], Sequence[str]]
"""The keys that are read, and those whose ends are."""
Ask = Callable[[Question], Awaitable[list[Any]]]
TAIL = 400


def _ours(connection: TrackingConnection) -> Ask:
    packed: dict[int, bytes] = {}

    async def ask(question: Question) -> list[Any]:
        keys, ends = question
        if id(question) not in packed:
            commands = [("MGET", *keys), *(("GETRANGE", end, -TAIL, -1) for end in ends)]
            packed[id(question)] = b"".join(pack(command) for command in commands)
        answered = asyncio.get_running_loop().create_future()
        connection.ask_packed(packed[id(question)], answered.set_result, commands=1 + len(ends))
        found: list[Any] = await answered
        return found

    return ask


def _redis_py(client: Redis) -> Ask:
    async def ask(question: Question) -> list[Any]:
        keys, ends = question
        pipeline = client.pipeline(transaction=False)
        pipeline.mget(keys)
        for end in ends:
            pipeline.getrange(end, -TAIL, -1)
        return await pipeline.execute()

    return ask


def _coredis(client: coredis.Redis[bytes]) -> Ask:
    async def ask(question: Question) -> list[Any]:
        keys, ends = question
        async with client.pipeline(transaction=False) as pipeline:
            first = pipeline.mget(keys)
            tails = [pipeline.getrange(end, -TAIL, -1) for end in ends]
        return [list(await first), *[await tail for tail in tails]]

    return ask


def _glide(client: glide.GlideClient) -> Ask:
    async def ask(question: Question) -> list[Any]:
        keys, ends = question
        batch = glide.Batch(is_atomic=False)
        batch.mget(list(keys))
        for end in ends:
            batch.getrange(end, -TAIL, -1)
        return await client.exec(batch, raise_on_error=True) or []

    return ask


async def _turn(ask: Ask, question: Question, expected: list[Any]) -> tuple[int, float, float]:
    """Return how many were asked, and the seconds and processor seconds that it took."""
    asked = 0
    began, spent = time.perf_counter(), time.process_time()
    until = began + SECONDS

    async def go_on() -> None:
        nonlocal asked
        while time.perf_counter() < until:
            if await ask(question) != expected:
                refuse("a client of Redis told something else")
            asked += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(go_on())
    return asked, time.perf_counter() - began, time.process_time() - spent


async def measure(
    port: int, questions: dict[str, Question]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return what each client takes for each question."""
    redis_py = Redis(port=port, max_connections=AT_ONCE)
    ours = await TrackingConnection.open(
        Server.of(redis_py), lambda _: None, lambda: None, tracked=False
    )
    place = glide.GlideClientConfiguration([glide.NodeAddress("127.0.0.1", port)])
    glides = await glide.GlideClient.create(place)
    async with coredis.Redis(port=port, max_connections=AT_ONCE) as other:
        clients = {
            "ours, one connection, packed once": _ours(ours),
            "redis with hiredis": _redis_py(redis_py),
            "coredis": _coredis(other),
            "valkey-glide": _glide(glides),
        }
        found = {(name, asked): [0, 0.0, 0.0] for name in clients for asked in questions}
        for asked, question in questions.items():
            expected = await clients["redis with hiredis"](question)
            for at in range(-2, ROUNDS):
                for name in list(clients)[:: 1 if at % 2 else -1]:
                    told = await _turn(clients[name], question, expected)
                    if at >= 0:
                        found[name, asked] = [
                            a + b for a, b in zip(found[name, asked], told, strict=True)
                        ]
    await glides.close()
    await redis_py.aclose()
    ours.close()
    return {
        name: {
            asked: {
                "per_second": round(found[name, asked][0] / found[name, asked][1]),
                "cpu_us": round(found[name, asked][2] / found[name, asked][0] * 1e6, 1),
            }
            for asked in questions
        }
        for name in clients
    }
