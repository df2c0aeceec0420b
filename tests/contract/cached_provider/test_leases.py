"""The leases of a reader that fetches: kept while it lives, given back when it fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cache.memory import MemoryBalanceCache
from domain.errors import NodeOverloadedError
from domain.ports import Busy, Lease
from domain.values import Fresh, Lane
from provider.cached import CachedProvider
from provider.prolonging import prolonged
from tests.cache_support import ALICE, BOB, ManualClock
from tests.provider_support import CHAIN, FailingCache, MakeReader, ScriptedProvider, amount, until


async def test_leases_are_given_back_when_the_fetch_fails(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    node.error = NodeOverloadedError("429")
    await reader.read_many([ALICE])
    assert isinstance((await cache.acquire(CHAIN, [ALICE]))[ALICE], Lease)


async def test_leases_are_given_back_when_the_refill_is_cancelled(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    node.before_answer = asyncio.Event().wait
    refill = asyncio.ensure_future(reader.refill([ALICE], lane=Lane.WARMUP))
    await until(lambda: bool(node.calls))
    refill.cancel()
    with pytest.raises(asyncio.CancelledError):
        await refill
    assert isinstance((await cache.acquire(CHAIN, [ALICE]))[ALICE], Lease)


async def test_a_leader_that_died_is_replaced_when_its_lease_ends(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    await cache.acquire(CHAIN, [ALICE])
    served = (await reader.read_many([ALICE]))[ALICE]
    assert amount(served) == 5
    assert node.calls == [(ALICE,)]


async def test_a_live_leader_keeps_its_lease_however_long_the_node_takes(
    make_reader: MakeReader,
    node: ScriptedProvider,
) -> None:
    """Else each reader would take over from the one before, and nobody would ever publish."""
    clock = ManualClock()
    cache: Any = MemoryBalanceCache(clock, chain_ids=(CHAIN,), lease_seconds=0.06)
    extended = asyncio.Semaphore(0)
    extend = cache.extend

    async def extend_and_tell(leases: Any) -> Any:
        kept = await extend(leases)
        extended.release()
        return kept

    cache.extend = extend_and_tell
    reader = make_reader(cache, read_wait_seconds=20)
    gate = asyncio.Event()
    node.before_answer = gate.wait
    read = asyncio.ensure_future(reader.read_many([ALICE]))
    async with asyncio.timeout(20):
        for _ in range(5):  # together several times as long as the lease
            await extended.acquire()
            clock.step(0.05)
            assert isinstance((await cache.acquire(CHAIN, [ALICE]))[ALICE], Busy)
            await extended.acquire()
        gate.set()
        served = (await read)[ALICE]

    assert isinstance(served.answer, Fresh)
    assert node.calls == [(ALICE,)]


async def test_a_lease_is_prolonged_until_it_is_lost_and_though_the_cache_was_away() -> None:
    cache: Any = FailingCache(MemoryBalanceCache(chain_ids=(CHAIN,), lease_seconds=0.03), "extend")
    held = (await cache.acquire(CHAIN, [ALICE, BOB])).values()

    async with prolonged(cache, list(held)):
        await until(lambda: cache.used.count("extend") >= 2)
        cache.failing.clear()
        await cache.invalidate([ALICE, BOB], CHAIN)
        await until(lambda: "prolong leases" not in {t.get_name() for t in asyncio.all_tasks()})
