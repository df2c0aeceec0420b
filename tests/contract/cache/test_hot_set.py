"""Who is read is refreshed in time: the hot set of every `BalanceCache`."""

from __future__ import annotations

import time

from tests.cache_support import ALICE, BOB, MAINNET, TESTNET, Make, address, snapshot


async def test_a_hot_predicate_without_a_snapshot_is_due(make: Make) -> None:
    harness = make()

    await harness.cache.mark_read(MAINNET, [ALICE, ALICE])

    assert list(await harness.cache.due(MAINNET, 10)) == [ALICE]
    assert list(await harness.cache.due(TESTNET, 10)) == []


async def test_nobody_is_due_whom_nobody_reads(make: Make) -> None:
    harness = make()

    await harness.put(snapshot(ALICE))
    await harness.cache.invalidate([ALICE])

    assert list(await harness.cache.due(MAINNET, 10)) == []


async def test_a_hot_predicate_is_due_before_its_fresh_life_ends(make: Make) -> None:
    harness = make(fresh_seconds=0.4, refresh_ahead_seconds=0.2)

    async def is_due() -> bool:
        return list(await harness.cache.due(MAINNET, 10)) == [ALICE]

    async def is_put_off() -> bool:
        await harness.put(snapshot(ALICE))
        await harness.cache.mark_read(MAINNET, [ALICE])
        return not await is_due()

    async def is_due_while_fresh() -> bool:
        if not await harness.is_fresh(ALICE):  # whoever looks too late begins again
            await harness.until(is_put_off)
        return await is_due() and await harness.is_fresh(ALICE)

    await harness.until(is_put_off)
    await harness.until(is_due_while_fresh)


async def test_a_publish_puts_the_due_time_off(make: Make) -> None:
    harness = make()
    await harness.cache.mark_read(MAINNET, [ALICE])

    await harness.put(snapshot(ALICE))
    await harness.cache.mark_read(MAINNET, [ALICE])

    assert list(await harness.cache.due(MAINNET, 10)) == []


async def test_an_invalidated_hot_predicate_is_due_at_once(make: Make) -> None:
    harness = make()
    await harness.cache.mark_read(MAINNET, [ALICE])
    await harness.put(snapshot(ALICE))

    await harness.cache.invalidate([ALICE])

    assert list(await harness.cache.due(MAINNET, 10)) == [ALICE]


async def test_the_most_overdue_come_first_and_the_limit_holds(make: Make) -> None:
    harness = make()
    crowd = [address(number) for number in range(10, 15)]
    for one in crowd:
        await harness.cache.mark_read(MAINNET, [one])

    assert sorted(await harness.cache.due(MAINNET, 10)) == crowd
    assert len(await harness.cache.due(MAINNET, 3)) == 3


async def test_another_read_does_not_put_an_overdue_refresh_off(make: Make) -> None:
    harness = make()
    await harness.cache.mark_read(MAINNET, [BOB])
    started = time.monotonic()

    async def is_later() -> bool:
        return time.monotonic() > started + 0.005

    await harness.until(is_later)
    await harness.cache.mark_read(MAINNET, [ALICE])
    await harness.cache.mark_read(MAINNET, [BOB])

    assert list(await harness.cache.due(MAINNET, 10)) == [BOB, ALICE]


async def test_who_is_not_read_for_its_hot_life_falls_out(make: Make) -> None:
    harness = make(hot_life_seconds=0.1)
    await harness.cache.mark_read(MAINNET, [ALICE])

    async def is_cold() -> bool:
        return not await harness.cache.due(MAINNET, 10)

    await harness.until(is_cold)


async def test_who_is_read_again_stays_when_others_fall_out(make: Make) -> None:
    harness = make(hot_life_seconds=0.3)
    await harness.cache.mark_read(MAINNET, [ALICE, BOB])

    async def only_bob_is_left() -> bool:
        await harness.cache.mark_read(MAINNET, [BOB])
        return list(await harness.cache.due(MAINNET, 10)) == [BOB]

    await harness.until(only_bob_is_left)
