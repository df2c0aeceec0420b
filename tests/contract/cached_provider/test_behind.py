"""What is refreshed behind a reader who does not wait for it."""

from __future__ import annotations

import asyncio
from typing import Any

from cache.memory import MemoryBalanceCache
from domain.ports import Source
from domain.values import Fresh, Lane, Stale
from provider.cached import CachedProvider
from tests.cache_support import ALICE, ManualClock
from tests.provider_support import CHAIN, MakeReader, ScriptedProvider, amount, is_fresh, put, until


async def is_due(cache: Any) -> bool:
    return list(await cache.due(CHAIN, 10)) == [ALICE]


async def test_what_another_process_has_just_refreshed_is_not_refreshed_again_behind(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    """The refill by another lands between the read of the stale one and the wish for a lease."""
    await put(cache, node, ALICE)
    await cache.invalidate([ALICE], CHAIN)
    acquire = cache.acquire

    async def late(*given: Any, **named: Any) -> Any:
        cache.acquire = acquire
        await put(cache, node, ALICE)
        return await acquire(*given, **named)

    cache.acquire = late

    await reader.read_many([ALICE], allow_stale=True)
    await until(lambda: not reader._behind._under_way)

    assert node.calls == []


async def test_a_reader_that_takes_stale_does_not_wait_and_the_refresh_goes_on_behind(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    await put(cache, node, ALICE)
    await cache.invalidate([ALICE], CHAIN)
    node.amounts[ALICE] = 6
    served = (await reader.read_many([ALICE], allow_stale=True))[ALICE]
    assert isinstance(served.answer, Stale)
    assert amount(served) == 5
    await until(lambda: is_fresh(cache, ALICE))
    assert amount((await reader.read_many([ALICE]))[ALICE]) == 6
    assert node.calls == [(ALICE,)]


async def test_what_is_due_is_served_at_once_and_refreshed_behind(
    make_reader: MakeReader, node: ScriptedProvider
) -> None:
    clock = ManualClock()
    cache = MemoryBalanceCache(
        clock, chain_ids=(CHAIN,), fresh_seconds=60, refresh_ahead_seconds=30
    )
    reader = make_reader(cache)
    await put(cache, node, ALICE)
    clock.step(45)
    node.amounts[ALICE] = 6
    gate = asyncio.Event()
    node.before_answer = gate.wait
    for _ in range(3):  # one refresh, however many read
        served = (await reader.read_many([ALICE]))[ALICE]
        assert isinstance(served.answer, Fresh)
        assert (amount(served), served.source) == (5, Source.CACHE)
    await until(lambda: bool(node.calls))
    assert node.lanes[-1] is Lane.REFRESH
    node.before_answer = None
    gate.set()
    await until(lambda: node.calls == [(ALICE,)])


async def test_a_reader_whose_time_is_over_gets_stale_and_the_fetch_still_counts(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    await put(cache, node, ALICE)
    await cache.invalidate([ALICE], CHAIN)
    node.amounts[ALICE] = 6
    release = asyncio.Event()
    node.before_answer = release.wait
    served = (await reader.read_many([ALICE], wait_seconds=0.05))[ALICE]
    assert isinstance(served.answer, Stale)
    release.set()
    assert amount((await reader.read_many([ALICE]))[ALICE]) == 6
    assert len(node.calls) == 1


async def test_reading_makes_a_predicate_hot(cache: Any, reader: CachedProvider) -> None:
    await reader.read_many([ALICE])
    await cache.invalidate([ALICE], CHAIN)
    await until(lambda: is_due(cache))
