"""What Bako's TypeScript writes beside us: its values are hits, its invalidations stop a fetch."""

from __future__ import annotations

import time

import pytest
from redis.asyncio import Redis

from domain.ports import PublishOutcome
from domain.values import Balance, Fresh, Missing, Snapshot, Stale, StaleReason
from tests.cache_support import ALICE, MAINNET, URL, Harness, asset, snapshot
from tests.drop_in_support import FLAG, GLOBAL_FLAG, VALUE, bako_value


@pytest.mark.parametrize("flag", [FLAG, GLOBAL_FLAG])
async def test_either_flag_makes_a_value_stale(harness: Harness, client: Redis, flag: str) -> None:
    await harness.put(snapshot(ALICE))

    await client.set(flag, "1", ex=3_600)

    answer = await harness.read(ALICE)
    assert isinstance(answer, Stale)
    assert answer.reason is StaleReason.INVALIDATED


async def test_what_bako_wrote_is_a_hit(harness: Harness, client: Redis) -> None:
    await client.set(VALUE, bako_value("0xf4240"), ex=300)

    answer = await harness.read(ALICE)

    assert isinstance(answer, Fresh)
    assert answer.stored.foreign
    assert answer.stored.version == 0
    assert answer.stored.snapshot == Snapshot(
        ALICE, MAINNET, (Balance(asset(1), 1_000_000),), network_url=URL
    )


async def test_an_empty_list_of_bako_is_a_hit_and_zero_rows_are_dropped(
    harness: Harness, client: Redis
) -> None:
    await client.set(VALUE, bako_value(balances=[]), ex=300)
    empty = await harness.read(ALICE)
    await client.set(VALUE, bako_value("0x0"), ex=300)
    zero = await harness.read(ALICE)

    assert isinstance(empty, Fresh)
    assert isinstance(zero, Fresh)
    assert empty.stored.snapshot.balances == zero.stored.snapshot.balances == ()


async def test_a_late_write_of_bako_after_our_invalidation_is_not_fresh(
    harness: Harness, client: Redis
) -> None:
    """Bako's fetch was under way: its write puts the old balances back and clears the flags."""
    await harness.cache.invalidate([ALICE], MAINNET, 9)
    await client.set(VALUE, bako_value(), ex=300)
    await client.delete(FLAG, GLOBAL_FLAG)

    before_refill = await harness.read(ALICE)
    await client.delete(VALUE)
    await harness.put(snapshot(ALICE, height=9))
    await client.set(VALUE, bako_value(), ex=300)
    after_refill = await harness.read(ALICE)

    assert isinstance(before_refill, Stale)
    assert isinstance(after_refill, Stale)
    assert after_refill.stored.snapshot == snapshot(ALICE, height=9)


async def test_bako_is_trusted_again_after_the_skew(harness: Harness, client: Redis) -> None:
    await harness.cache.invalidate([ALICE], MAINNET)
    await harness.put(snapshot(ALICE))
    later = int(time.time() * 1000) + 61_000

    await client.set(VALUE, bako_value(timestamp=later), ex=300)

    assert await harness.is_fresh(ALICE)


async def test_an_invalidation_by_bako_stops_our_fetch(harness: Harness, client: Redis) -> None:
    lease = await harness.lease(ALICE)

    await client.delete(VALUE)
    await client.set(FLAG, "1764104869733", ex=3_600)
    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])

    assert outcomes[ALICE] is PublishOutcome.FLAG_CHANGED
    assert await client.exists(FLAG) == 1, "the invalidation still stands"


async def test_an_invalidation_by_bako_that_its_own_write_cleared_stops_our_fetch(
    harness: Harness, client: Redis
) -> None:
    await harness.put(snapshot(ALICE))
    lease = await harness.lease(ALICE)

    await client.set(FLAG, "1", ex=3_600)
    await client.set(VALUE, bako_value(), ex=300)
    await client.delete(FLAG, GLOBAL_FLAG)

    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.FLAG_CHANGED


async def test_a_second_invalidation_by_bako_stops_the_fetch_after_the_first(
    harness: Harness, client: Redis
) -> None:
    await client.set(FLAG, "1", ex=3_600)
    lease = await harness.lease(ALICE)

    await client.set(FLAG, "2", ex=3_600)

    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.FLAG_CHANGED


async def test_a_flag_from_before_the_fetch_is_cleared_by_its_publish(
    harness: Harness, client: Redis
) -> None:
    await client.set(FLAG, "1", ex=3_600)

    await harness.put(snapshot(ALICE))

    assert await client.exists(FLAG) == 0
    assert await harness.is_fresh(ALICE)


async def test_keys_that_come_to_their_own_end_during_a_fetch_do_not_stop_it(
    harness: Harness, client: Redis
) -> None:
    await client.set(FLAG, "1", px=40)
    await client.set(GLOBAL_FLAG, "1", px=40)
    await client.set(VALUE, bako_value(), px=40)
    lease = await harness.lease(ALICE)

    async def are_gone() -> bool:
        return not await client.exists(FLAG, GLOBAL_FLAG, VALUE)

    await harness.until(are_gone)
    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.PUBLISHED


async def test_a_value_without_an_end_that_somebody_deletes_stops_our_fetch(
    harness: Harness, client: Redis
) -> None:
    await client.set(VALUE, bako_value())
    lease = await harness.lease(ALICE)

    await client.delete(VALUE)

    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.FLAG_CHANGED


@pytest.mark.parametrize("flag", [FLAG, GLOBAL_FLAG])
async def test_clearing_a_flag_takes_the_old_value_under_it_along(
    harness: Harness, client: Redis, flag: str
) -> None:
    """An unfenced writer put an old value back; its flag is all that keeps it from being served."""
    await client.set(VALUE, bako_value(), ex=300)
    await client.set(flag, "1", ex=3_600)
    lease = await harness.lease(ALICE)

    await harness.cache.clear_invalidation([ALICE], MAINNET)

    assert await harness.read(ALICE) == Missing()
    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.LEASE_LOST, "it could not see the flag go"
