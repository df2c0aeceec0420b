"""The seam to the Redis client: batches in one round trip, scripts, errors as ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoScriptError, ResponseError

from cache.cluster import send_batch
from cache.failures import refusals, unavailable
from cache.lua import script
from cache.rest import node_rests_of, rest_of
from domain.together import Answer, Apart, Question, Send, Together

PORTION = 128
"""So many scripts stay far below the socket's timeout and let other clients in between."""

Argument = str | bytes | int
Command = tuple[Argument, ...]
ScriptCall = tuple[Sequence[str | bytes], Sequence[Argument]]
"""The keys and the arguments of one run of a script."""


class Commands:
    """Sends commands; every method raises `CacheUnavailableError` when Redis does not answer.

    All who share a client share its rest (`cache.rest`): after a timeout nobody waits for another.
    On a cluster each node has its own.
    """

    def __init__(self, client: Redis) -> None:
        self.client = client
        self._rest = rest_of(client)
        self.is_cluster = isinstance(client, RedisCluster)

    async def get_many(self, keys: Sequence[str | bytes]) -> Sequence[bytes | None]:
        """Read strings in one command; a key of another type reads as absent."""
        if not keys:
            return []
        if self.is_cluster:
            [texts] = await self.batch([("MGET", *keys)])
            return cast("list[bytes | None]", texts)
        with unavailable(), self._rest.asking() as is_trial:
            if is_trial:
                await self._drop_idle_links()
            # Not `mget`, which goes through all keys again before it sends them; redis-py leaves
            # what it goes through untyped.
            texts = await self.client.execute_command("MGET", *keys)  # type: ignore[no-untyped-call]
            # The client never decodes: connection.py leaves decode_responses off.
            return cast("list[bytes | None]", texts)

    def shared(self, send: Send[Question, Answer], *, most: int) -> Apart[Question, Answer]:
        """Return what lets callers of this process ask together by `send` (see `together`)."""
        return Together(send, most=most)

    async def batch(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one round trip; a refused one has its error in its place."""
        if not commands:
            return []
        if self.is_cluster:
            rests = node_rests_of(self.client)
            with unavailable():
                return await send_batch(cast("RedisCluster", self.client), commands, rests)
        with unavailable(), self._rest.asking() as is_trial:
            if is_trial:
                await self._drop_idle_links()
            pipeline = self.client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            return await pipeline.execute(raise_on_error=False)

    async def _drop_idle_links(self) -> None:
        """A network that swallowed packets may have forgotten the links that were open before."""
        await self.client.connection_pool.disconnect(inuse_connections=False)

    async def run(self, name: str, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run one script for each call and return their answers.

        Up to `PORTION` calls are one round trip.
        """
        found = script(name)
        commands: list[Command] = [
            ("EVALSHA", found.digest, len(keys), *keys, *arguments) for keys, arguments in calls
        ]
        answers: list[Any] = []
        for at in range(0, len(commands), PORTION):
            answers += await self._run_portion(found.source, commands[at : at + PORTION])
        with refusals():
            for answer in answers:
                if isinstance(answer, ResponseError):
                    raise answer
        return answers

    async def _run_portion(self, source: str, commands: Sequence[Command]) -> list[Any]:
        answers = await self.batch(commands)
        unknown = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:  # a new or restarted server: send the source along
            again = await self.batch([("EVAL", source, *commands[i][2:]) for i in unknown])
            for i, answer in zip(unknown, again, strict=True):
                answers[i] = answer
        return answers
