"""The in-memory twin by a clock that stands still: what ends has ended at its very end."""

from __future__ import annotations

import asyncio

import pytest

from cache.memory import MemoryBalanceCache
from domain.ports import Busy, Lease
from domain.values import Fresh, Missing, Stale
from tests.cache_support import (
    ALICE,
    BOB,
    MAINNET,
    REFRESH_RULES,
    Harness,
    ManualClock,
    snapshot,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def twin(clock: ManualClock) -> Harness:
    cache = MemoryBalanceCache(
        clock,
        fresh_seconds=100,
        keep_seconds=1_000,
        lease_seconds=10,
        refresh_ahead_seconds=20,
        hot_life_seconds=300,
        probation_seconds=5,
        probation_fresh_seconds=8,
    )
    return Harness(cache, clock.step)


async def test_a_lease_is_free_at_its_end_and_not_before(twin: Harness, clock: ManualClock) -> None:
    await twin.lease(ALICE)

    clock.step(9)
    assert (await twin.cache.acquire(MAINNET, [ALICE]))[ALICE] == Busy(1_000)
    clock.step(1)
    await twin.lease(ALICE)


async def test_a_lease_is_prolonged_from_now_on_by_its_holder_alone(
    twin: Harness, clock: ManualClock
) -> None:
    lease = await twin.lease(ALICE)
    clock.step(8)
    await twin.cache.extend([lease])
    clock.step(8)
    await twin.cache.extend([Lease(ALICE, MAINNET, "a guess", 0)])

    assert (await twin.cache.acquire(MAINNET, [ALICE]))[ALICE] == Busy(2_000)


async def test_nobody_waits_for_a_lease_that_is_over(twin: Harness, clock: ManualClock) -> None:
    await twin.lease(ALICE)
    clock.step(10)

    async with asyncio.timeout(5):
        await twin.cache.wait_published(MAINNET, [ALICE], 60)


async def test_a_value_is_due_stale_and_forgotten_at_the_end_of_each_life(
    twin: Harness, clock: ManualClock
) -> None:
    await twin.put(snapshot(ALICE))

    clock.step(79)
    answer = await twin.read(ALICE)
    assert (type(answer), answer.due) == (Fresh, False)
    clock.step(1)
    assert (await twin.read(ALICE)).due
    clock.step(20)
    assert isinstance(await twin.read(ALICE), Stale)
    clock.step(900)
    assert await twin.read(ALICE) == Missing()


async def test_probation_is_over_at_its_end(twin: Harness, clock: ManualClock) -> None:
    for who, seconds in ((ALICE, 4), (BOB, 1)):
        await twin.cache.invalidate([who], MAINNET)
        clock.step(seconds)
        await twin.put(snapshot(who))
    await twin.cache.invalidate([ALICE], MAINNET)
    clock.step(5)
    await twin.put(snapshot(ALICE))

    clock.step(8)
    assert isinstance(await twin.read(BOB), Stale)
    assert isinstance(await twin.read(ALICE), Fresh)


async def test_what_is_not_fresh_any_more_is_not_counted(twin: Harness, clock: ManualClock) -> None:
    await twin.put(snapshot(ALICE))
    before = (await twin.cache.stats())["total_keys"]
    clock.step(100)

    assert (before, (await twin.cache.stats())["total_keys"]) == (1, 0)


async def test_who_was_read_again_does_not_keep_others_hot(
    twin: Harness, clock: ManualClock
) -> None:
    await twin.cache.mark_read(MAINNET, [ALICE])
    clock.step(1)
    await twin.cache.mark_read(MAINNET, [BOB])
    clock.step(1)
    await twin.cache.mark_read(MAINNET, [ALICE])

    clock.step(298)
    assert set(await twin.cache.due(MAINNET, 10)) == {ALICE, BOB}
    clock.step(1)
    assert list(await twin.cache.due(MAINNET, 10)) == [ALICE]
    clock.step(1)
    assert list(await twin.cache.due(MAINNET, 10)) == []


async def test_a_claim_tells_how_old_a_snapshot_is(clock: ManualClock) -> None:
    cache = MemoryBalanceCache(clock)
    await Harness(cache, clock.step).put(snapshot(ALICE))
    await cache.mark_read(MAINNET, [ALICE])
    clock.step(30)
    await cache.invalidate([ALICE], MAINNET)

    [one] = (await cache.schedule.claim(MAINNET, REFRESH_RULES)).candidates

    assert one.age_seconds == 30
