"""Who waits for another's fetch is told of its end, however it ends."""

from __future__ import annotations

import asyncio

from domain.ports import Busy
from tests.cache_support import ALICE, BOB, MAINNET, Make, snapshot


async def test_waiters_are_told_when_the_lease_ends(make: Make) -> None:
    harness = make(lease_seconds=60)
    lease = await harness.lease(ALICE)
    waiting = [
        asyncio.create_task(harness.cache.wait_published(MAINNET, [ALICE, BOB], 30))
        for _ in range(20)
    ]

    await harness.cache.publish([(lease, snapshot(ALICE))])

    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
    assert await harness.is_fresh(ALICE)


async def test_waiters_are_told_of_a_release_and_of_an_invalidation(make: Make) -> None:
    harness = make(lease_seconds=60)
    alice, _ = await harness.lease(ALICE), await harness.lease(BOB)
    waiting = asyncio.create_task(harness.cache.wait_published(MAINNET, [ALICE, BOB], 30))

    await harness.cache.release([alice])
    await harness.cache.invalidate([BOB])

    async with asyncio.timeout(5):
        await waiting


async def test_a_wait_is_for_the_present_lease_and_not_for_the_next(make: Make) -> None:
    harness = make(lease_seconds=60)
    lease = await harness.lease(ALICE)
    waiting = asyncio.create_task(harness.cache.wait_published(MAINNET, [ALICE], 30))
    done, _ = await asyncio.wait({waiting}, timeout=0.2)
    assert not done

    await harness.cache.release([lease])
    await harness.lease(ALICE)

    async with asyncio.timeout(5):
        await waiting


async def test_a_wait_ends_when_a_dead_leader_is_replaced(make: Make) -> None:
    harness = make(lease_seconds=0.5)
    await harness.lease(ALICE)
    waiting = asyncio.create_task(harness.cache.wait_published(MAINNET, [ALICE], 30))
    await asyncio.wait({waiting}, timeout=0.1)

    async with asyncio.timeout(10):
        while isinstance((await harness.cache.acquire(MAINNET, [ALICE]))[ALICE], Busy):
            harness.pass_time()  # without a pause: on the twin the waiter must not look between
        await waiting


async def test_a_wait_ends_at_its_timeout(make: Make) -> None:
    harness = make(lease_seconds=60)
    await harness.lease(ALICE)
    waiting = asyncio.create_task(harness.cache.wait_published(MAINNET, [ALICE], 0.1))

    async def is_over() -> bool:
        return waiting.done()

    await harness.until(is_over)
    assert isinstance((await harness.cache.acquire(MAINNET, [ALICE]))[ALICE], Busy)


async def test_a_wait_for_a_leader_that_died_ends_with_its_lease(make: Make) -> None:
    harness = make(lease_seconds=0.2)
    await harness.lease(ALICE)
    waiting = asyncio.create_task(harness.cache.wait_published(MAINNET, [ALICE], 60))

    async def is_over() -> bool:
        return waiting.done()

    await harness.until(is_over)
