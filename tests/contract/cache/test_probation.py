"""A refill after an invalidation that named no height may be a lagging node's old answer."""

from __future__ import annotations

import asyncio

import pytest

from domain.values import Stale, StaleReason
from tests.cache_support import ALICE, MAINNET, TESTNET, Make, snapshot


async def test_after_an_invalidation_without_a_height_a_refill_is_on_probation(make: Make) -> None:
    """It may be a lagging node's old answer: nothing tells it from a new one."""
    harness = make(probation_fresh_seconds=0.3)
    await harness.put(snapshot(ALICE, 1))

    async def is_served() -> bool:
        await harness.cache.invalidate([ALICE], MAINNET)
        await harness.put(snapshot(ALICE, 1))
        return await harness.is_fresh(ALICE)

    async def is_due() -> bool:
        answer = await harness.read(ALICE)
        return isinstance(answer, Stale) or answer.due

    async def is_stale() -> bool:
        return isinstance(await harness.read(ALICE), Stale)

    await harness.until(is_served)  # nobody waits longer for it
    await harness.until(is_due)
    await harness.until(is_stale)
    assert (await harness.read(ALICE)).reason is StaleReason.EXPIRED


async def test_a_hot_predicate_on_probation_is_due_within_its_short_life(make: Make) -> None:
    harness = make(probation_fresh_seconds=0.3)
    await harness.cache.mark_read(MAINNET, [ALICE])

    async def is_due() -> bool:
        return list(await harness.cache.due(MAINNET, 10)) == [ALICE]

    async def is_put_off() -> bool:
        await harness.cache.invalidate([ALICE], MAINNET)
        await harness.put(snapshot(ALICE))
        return not await is_due()

    await harness.until(is_put_off)
    await harness.until(is_due)


async def test_probation_ends(make: Make) -> None:
    harness = make(probation_seconds=0.3, probation_fresh_seconds=0.05)
    await harness.cache.invalidate([ALICE], MAINNET)

    async def stays_fresh() -> bool:
        await harness.put(snapshot(ALICE))
        for _ in range(10):
            harness.pass_time()
            await asyncio.sleep(0.01)
        return await harness.is_fresh(ALICE)

    await harness.until(stays_fresh)


@pytest.mark.parametrize("height", [0, 6])
async def test_with_a_height_there_is_no_probation(make: Make, height: int) -> None:
    harness = make(probation_fresh_seconds=0.001)
    await harness.cache.invalidate([ALICE], MAINNET, height)
    await harness.cache.invalidate([ALICE], TESTNET)

    await harness.put(snapshot(ALICE, height=height))
    harness.pass_time()

    assert await harness.is_fresh(ALICE)


async def test_a_height_of_a_later_invalidation_does_not_end_the_probation_of_an_earlier_one(
    make: Make,
) -> None:
    """Messages come in any order: the height may be that of an earlier block."""
    harness = make(probation_fresh_seconds=0.02)
    await harness.cache.invalidate([ALICE], MAINNET)
    await harness.cache.invalidate([ALICE], MAINNET, 5)
    await harness.put(snapshot(ALICE, height=5))

    async def is_stale() -> bool:
        return isinstance(await harness.read(ALICE), Stale)

    await harness.until(is_stale)
