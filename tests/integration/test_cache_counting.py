"""What readers met is counted once, also when Redis refuses or is away for a moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from cache.clock import ServerClock
from cache.commands import Command, Commands
from domain.errors import CacheUnavailableError
from domain.measures import NoMeasures
from tests.cache_support import ALICE, MAINNET, Harness, address, redis_cache, snapshot
from tests.drop_in_support import VALUE, bako_value

BOB = address(2)
LOADING = ResponseError("LOADING it reads its file")


class Disturbed(Commands):
    """Loses batches, or has what they ask for refused, while it is told to.

    Attributes:
        lost: which batches.
        refused: the command whose answers are refusals.
    """

    lost: Callable[[Sequence[Command]], bool] = staticmethod(lambda _: False)
    refused = ""

    async def batch(self, commands: Sequence[Command]) -> list[Any]:
        if self.lost(commands):
            raise CacheUnavailableError("gone")
        answers = await super().batch(commands)
        asked = zip(commands, answers, strict=True)
        return [LOADING if command[0] == self.refused else answer for command, answer in asked]


class Counted(NoMeasures):
    def __init__(self) -> None:
        self.failures: list[str] = []

    def cache_failed(self, kind: str) -> None:
        self.failures.append(kind)


@pytest.fixture
def disturbed(client: Redis) -> Disturbed:
    return Disturbed(client)


@pytest.mark.parametrize("hash_tags", [False, True])
async def test_counts_that_could_not_be_sent_are_sent_with_the_next(
    client: Redis, disturbed: Disturbed, monkeypatch: pytest.MonkeyPatch, *, hash_tags: bool
) -> None:
    monkeypatch.setattr(ServerClock, "must_ask", lambda _: True)
    cache = redis_cache(client, commands=disturbed, hash_tags=hash_tags)
    await Harness(cache, lambda: None).put(snapshot(ALICE))
    await cache.read(MAINNET, [ALICE])

    disturbed.lost = lambda commands: any(command[0] == "HINCRBY" for command in commands)
    if hash_tags:  # the counts go apart: the read does not depend on them
        await cache.read(MAINNET, [ALICE])
    else:
        with pytest.raises(CacheUnavailableError):
            await cache.read(MAINNET, [ALICE])
    disturbed.lost = lambda _: False
    await cache.read(MAINNET, [ALICE])

    assert (await cache.stats())["hits"] == (3 if hash_tags else 2)


@pytest.mark.parametrize("knows_the_time", [False, True])
async def test_a_refused_read_is_an_absence(
    client: Redis, disturbed: Disturbed, *, knows_the_time: bool
) -> None:
    """The first trip of a new process asks for the time too; a miss takes a closer look."""
    cache = redis_cache(client, commands=disturbed)
    if knows_the_time:
        await cache.read(MAINNET, [BOB])
    disturbed.refused = "MGET"

    with pytest.raises(CacheUnavailableError):
        await cache.read(MAINNET, [ALICE])


async def test_each_kind_of_answer_is_counted_as_what_it_is(client: Redis) -> None:
    measures = Counted()
    cache = redis_cache(client, measures=measures)
    harness = Harness(cache, lambda: None)
    await client.set(VALUE, bako_value(timestamp=1_764_104_869_733), ex=300)
    await harness.put(snapshot(BOB))
    await cache.invalidate([BOB], MAINNET)
    poisoned = address(3)
    await client.set(f"balance:{poisoned}:{MAINNET}", "{", ex=300)

    for who in (ALICE, BOB, poisoned):
        await cache.read(MAINNET, [who])

    stats = await cache.stats()
    names = ("hits", "foreign", "stale", "stale_invalidated", "misses", "poisoned")
    assert [stats[name] for name in names] == [1, 1, 1, 1, 1, 1]
    assert measures.failures == ["poisoned"]
