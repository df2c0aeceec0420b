"""What every `BalanceCache` promises."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from cache.memory import MemoryBalanceCache
from domain.errors import InvalidValueError
from domain.ports import Busy, Lease, PublishOutcome
from domain.values import Balance, Fresh, Missing, Snapshot, Stale, StaleReason
from supervisor.valkey import EmbeddedServer
from tests.cache_support import (
    MAINNET,
    TESTNET,
    URL,
    Harness,
    ManualClock,
    address,
    asset,
    empty_client,
    redis_cache,
    snapshot,
)
from tests.copy_support import eagerly_copied_cache

Make = Callable[..., Harness]
ALICE, BOB = address(1), address(2)


@pytest.fixture
def make_in_memory() -> Make:
    clock = ManualClock()
    return lambda **lives: Harness(MemoryBalanceCache(clock, **lives), clock.step)


@pytest.fixture(params=["redis", "hash tags", "local copy", "memory"])
async def make(request: pytest.FixtureRequest, cache_server: EmbeddedServer) -> AsyncIterator[Make]:
    if request.param == "memory":
        yield request.getfixturevalue("make_in_memory")
        return
    caches = []
    client = await empty_client(cache_server)

    def build(**lives: Any) -> Harness:
        make_one = eagerly_copied_cache if request.param == "local copy" else redis_cache
        cache = make_one(client, hash_tags=request.param == "hash tags", **lives)
        caches.append(cache)
        return Harness(cache, lambda: None)

    yield build
    for cache in caches:
        await cache.aclose()
    await client.aclose()


async def test_what_was_never_published_is_missing(make: Make) -> None:
    assert await make().read(ALICE) == Missing()


async def test_what_was_published_is_fresh_and_unchanged(make: Make) -> None:
    harness = make()
    told = Snapshot(
        ALICE, MAINNET, (Balance(asset(2), 2**128 - 1), Balance(asset(1), 7)), 41, 43, URL
    )

    await harness.put(told)

    answer = await harness.read(ALICE)
    assert isinstance(answer, Fresh)
    assert answer.stored.snapshot == told
    assert answer.stored.version == 1
    assert not answer.stored.foreign
    assert 0 <= answer.age_ms < 60_000
    assert not answer.due


async def test_an_empty_vault_is_an_answer(make: Make) -> None:
    harness = make()

    await harness.put(snapshot(ALICE, 0))

    answer = await harness.read(ALICE)
    assert isinstance(answer, Fresh)
    assert answer.stored.snapshot.balances == ()


async def test_many_predicates_are_read_at_once_and_duplicates_are_one(make: Make) -> None:
    harness = make()
    await harness.put(snapshot(ALICE, 5))

    answers = await harness.cache.read(MAINNET, [BOB, ALICE, BOB])

    assert list(answers) == [BOB, ALICE]
    assert isinstance(answers[ALICE], Fresh)
    assert answers[BOB] == Missing()


async def test_who_looks_for_work_is_told_of_each_that_is_not_fresh_once_and_in_order(
    make: Make,
) -> None:
    harness, carol = make(), address(3)
    await harness.put(snapshot(ALICE, 5))
    await harness.put(snapshot(carol, 5))
    await harness.cache.invalidate([carol], MAINNET)

    assert await harness.cache.not_fresh(MAINNET, [carol, ALICE, BOB, carol]) == (carol, BOB)
    assert await harness.cache.not_fresh(TESTNET, [ALICE]) == (ALICE,)


async def test_reading_nobody_answers_nothing(make: Make) -> None:
    cache = make().cache

    assert dict(await cache.read(MAINNET, [])) == {}
    assert await cache.not_fresh(MAINNET, []) == ()
    assert dict(await cache.acquire(MAINNET, [])) == {}
    assert dict(await cache.publish([])) == {}
    await cache.invalidate([])
    await cache.release([])
    await cache.mark_read(MAINNET, [])


async def test_chain_zero_is_a_chain_of_its_own(make: Make) -> None:
    harness = make()
    await harness.put(snapshot(ALICE, 1, chain_id=MAINNET))
    await harness.put(snapshot(ALICE, 2, chain_id=TESTNET))

    await harness.cache.invalidate([ALICE], TESTNET)

    assert await harness.is_fresh(ALICE, MAINNET)
    assert not await harness.is_fresh(ALICE, TESTNET)


async def test_the_end_of_fresh_life_makes_it_stale_never_missing(make: Make) -> None:
    harness = make(fresh_seconds=0.5)
    await harness.put(snapshot(ALICE, 9))

    async def is_stale() -> bool:
        return isinstance(await harness.read(ALICE), Stale)

    await harness.until(is_stale)
    answer = await harness.read(ALICE)
    assert answer.reason is StaleReason.EXPIRED
    # The age is told by an estimate of the server's clock, behind it by the delay of one answer.
    assert answer.age_ms > 0
    assert answer.stored.snapshot == snapshot(ALICE, 9)


async def test_the_end_of_keep_life_makes_it_missing(make: Make) -> None:
    harness = make(fresh_seconds=0.05, keep_seconds=0.1)
    await harness.put(snapshot(ALICE))

    async def is_missing() -> bool:
        return isinstance(await harness.read(ALICE), Missing)

    await harness.until(is_missing)


async def test_after_its_soft_life_a_fresh_snapshot_is_due(make: Make) -> None:
    harness = make(fresh_seconds=3_600, refresh_ahead_seconds=3_599)
    await harness.put(snapshot(ALICE))
    early = make(fresh_seconds=0.4, refresh_ahead_seconds=0.3)

    async def is_due() -> bool:
        answer = await early.read(BOB)
        if not isinstance(answer, Fresh):  # whoever looks too late begins again
            await early.put(snapshot(BOB))
            return False
        return answer.due

    await early.until(is_due)
    assert not (await harness.read(ALICE)).due, "never due in the first half of its life"


async def test_an_invalidated_snapshot_is_stale_and_says_so(make: Make) -> None:
    harness = make()
    await harness.put(snapshot(ALICE, 3, height=10))

    await harness.cache.invalidate([ALICE], MAINNET, 11)

    answer = await harness.read(ALICE)
    assert isinstance(answer, Stale)
    assert answer.reason is StaleReason.INVALIDATED
    assert answer.stored.snapshot == snapshot(ALICE, 3, height=10)


async def test_an_invalidation_without_a_chain_concerns_every_chain(make: Make) -> None:
    harness = make()
    for chain_id in (MAINNET, TESTNET):
        await harness.put(snapshot(ALICE, chain_id=chain_id))

    await harness.cache.invalidate([ALICE])

    assert not await harness.is_fresh(ALICE, MAINNET)
    assert not await harness.is_fresh(ALICE, TESTNET)


async def test_refilling_one_chain_leaves_the_other_invalidated(make: Make) -> None:
    harness = make()
    for chain_id in (MAINNET, TESTNET):
        await harness.put(snapshot(ALICE, chain_id=chain_id))
    await harness.cache.invalidate([ALICE])

    await harness.put(snapshot(ALICE, 2, chain_id=MAINNET))

    assert await harness.is_fresh(ALICE, MAINNET)
    answer = await harness.read(ALICE, TESTNET)
    assert isinstance(answer, Stale)
    assert answer.reason is StaleReason.INVALIDATED


async def test_a_height_without_a_chain_is_refused_and_changes_nothing(make: Make) -> None:
    harness = make()
    await harness.put(snapshot(ALICE))

    with pytest.raises(InvalidValueError, match="chain id"):
        await harness.cache.invalidate([ALICE], None, 5)
    with pytest.raises(InvalidValueError, match="block height"):
        await harness.cache.invalidate([ALICE], MAINNET, -1)

    assert await harness.is_fresh(ALICE)


async def test_a_fetch_that_began_before_an_invalidation_is_not_published(make: Make) -> None:
    harness = make()
    lease = await harness.lease(ALICE)

    await harness.cache.invalidate([ALICE], MAINNET)
    outcomes = await harness.cache.publish([(lease, snapshot(ALICE, height=99))])

    assert outcomes[ALICE] is PublishOutcome.LEASE_LOST
    assert await harness.read(ALICE) == Missing()


async def test_a_fetch_on_one_chain_survives_the_invalidation_of_another(make: Make) -> None:
    harness = make()
    lease = await harness.lease(ALICE, MAINNET)

    await harness.cache.invalidate([ALICE], TESTNET)

    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.PUBLISHED


async def test_the_lease_names_the_height_that_the_invalidation_demanded(make: Make) -> None:
    harness = make()
    await harness.cache.invalidate([ALICE], MAINNET, 20)
    await harness.cache.invalidate([ALICE], MAINNET, 15)

    assert (await harness.lease(ALICE)).required_height == 20


async def test_a_lagging_node_is_refused_until_it_has_the_height(make: Make) -> None:
    harness = make()
    await harness.cache.invalidate([ALICE], MAINNET, 20)

    late = await harness.cache.publish([(await harness.lease(ALICE), snapshot(ALICE, height=19))])
    right = await harness.cache.publish([(await harness.lease(ALICE), snapshot(ALICE, height=20))])

    assert late[ALICE] is PublishOutcome.BELOW_MINIMUM
    assert right[ALICE] is PublishOutcome.PUBLISHED


@pytest.mark.parametrize("make", ["redis", "local copy", "memory"], indirect=True)
async def test_below_the_height_that_a_chain_requires_nothing_is_published(make: Make) -> None:
    harness = make()
    await harness.put(snapshot(BOB, height=19))
    early = await harness.lease(ALICE)
    await harness.cache.require(MAINNET, 20)
    await harness.cache.require(MAINNET, 15)

    late = await harness.cache.publish([(early, snapshot(ALICE, height=19))])
    lease = await harness.lease(ALICE)
    right = await harness.cache.publish([(lease, snapshot(ALICE, height=20))])

    assert late[ALICE] is PublishOutcome.BELOW_MINIMUM
    assert lease.required_height == 20
    assert right[ALICE] is PublishOutcome.PUBLISHED
    assert await harness.is_fresh(BOB), "what is stored stays"
    assert (await harness.lease(ALICE, TESTNET)).required_height == 0


async def test_a_height_that_no_chain_can_have_is_not_required(make: Make) -> None:
    harness = make()

    with pytest.raises(InvalidValueError):
        await harness.cache.require(MAINNET, -1)


async def test_heights_never_go_back(make: Make) -> None:
    harness = make()
    await harness.put(snapshot(ALICE, 2, height=30, height_upper=32))

    lease = await harness.lease(ALICE)
    outcomes = await harness.cache.publish([(lease, snapshot(ALICE, 1, height=31))])

    assert lease.required_height == 32
    assert outcomes[ALICE] is PublishOutcome.OLDER_THAN_STORED
    assert (await harness.read(ALICE)).stored.snapshot.balances[0].amount == 2


async def test_what_readers_would_not_accept_is_not_stored(make: Make) -> None:
    harness = make()
    rows = tuple(Balance(asset(n), 2**128 - 1) for n in range(40_000))
    many = Snapshot(ALICE, MAINNET, rows[:30_000], 6, None, URL)
    await harness.put(many)
    assert (await harness.read(ALICE)).stored.snapshot == many

    lease = await harness.lease(ALICE)
    outcomes = await harness.cache.publish([(lease, replace(many, balances=rows, height=7))])

    assert outcomes[ALICE] is PublishOutcome.TOO_LARGE
    assert (await harness.read(ALICE)).stored.snapshot == many, "what was known stays"
    assert isinstance((await harness.cache.acquire(MAINNET, [ALICE]))[ALICE], Lease)
    assert (await harness.cache.stats())["too_large"] == 1


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


async def test_heights_of_different_chains_are_never_compared(make: Make) -> None:
    harness = make()
    await harness.put(snapshot(ALICE, height=1_000_000, chain_id=TESTNET))

    await harness.put(snapshot(ALICE, height=5, chain_id=MAINNET))

    assert await harness.is_fresh(ALICE, MAINNET)


async def test_one_asks_for_the_lease_and_gets_it_others_wait(make: Make) -> None:
    harness = make(lease_seconds=5)
    await harness.lease(ALICE)

    answers = await harness.cache.acquire(MAINNET, [ALICE, BOB])

    assert isinstance(answers[BOB], Lease)
    busy = answers[ALICE]
    assert isinstance(busy, Busy)
    assert 0 < busy.wait_ms <= 5_000


async def test_the_leases_of_two_chains_are_two(make: Make) -> None:
    harness = make()

    await harness.lease(ALICE, MAINNET)
    await harness.lease(ALICE, TESTNET)


async def test_an_expired_lease_can_be_taken_and_its_first_holder_has_lost_it(make: Make) -> None:
    harness = make(lease_seconds=0.1)
    first = await harness.lease(ALICE)

    async def is_free() -> bool:
        return isinstance((await harness.cache.acquire(MAINNET, [ALICE]))[ALICE], Lease)

    await harness.until(is_free)
    outcomes = await harness.cache.publish([(first, snapshot(ALICE))])
    assert outcomes[ALICE] is PublishOutcome.LEASE_LOST


async def test_an_expired_lease_that_nobody_took_still_publishes(make: Make) -> None:
    harness = make(lease_seconds=0.05)
    lease = await harness.lease(ALICE)
    await harness.cache.wait_published(MAINNET, [ALICE], 5)

    outcomes = await harness.cache.publish([(lease, snapshot(ALICE))])

    assert outcomes[ALICE] is PublishOutcome.PUBLISHED


async def test_a_lease_is_prolonged_while_it_is_ours(make: Make) -> None:
    harness = make(lease_seconds=5)
    lease = await harness.lease(ALICE)
    other = Lease(BOB, MAINNET, "somebody else's", 0)

    assert await harness.cache.extend([lease, other]) == {ALICE: True, BOB: False}


async def test_a_lease_tells_how_long_it_lasts(make: Make) -> None:
    assert (await make(lease_seconds=7).lease(ALICE)).lasts_ms == 7_000


async def test_a_released_lease_is_free_at_once(make: Make) -> None:
    harness = make()
    lease = await harness.lease(ALICE)

    await harness.cache.release([lease])

    assert isinstance((await harness.cache.acquire(MAINNET, [ALICE]))[ALICE], Lease)


async def test_nobody_releases_the_lease_of_another(make: Make) -> None:
    harness = make()
    await harness.lease(ALICE)

    await harness.cache.release([Lease(ALICE, MAINNET, "a guess", 0)])

    assert isinstance((await harness.cache.acquire(MAINNET, [ALICE]))[ALICE], Busy)


async def test_a_publish_ends_the_lease_whatever_becomes_of_it(make: Make) -> None:
    harness = make()
    await harness.cache.invalidate([ALICE], MAINNET, 9)
    lease = await harness.lease(ALICE)

    await harness.cache.publish([(lease, snapshot(ALICE, height=8))])
    again = await harness.cache.publish([(lease, snapshot(ALICE, height=9))])

    assert again[ALICE] is PublishOutcome.LEASE_LOST


async def test_a_snapshot_of_another_predicate_than_the_lease_is_refused(make: Make) -> None:
    harness = make()
    lease = await harness.lease(ALICE)

    with pytest.raises(InvalidValueError, match="does not permit"):
        await harness.cache.publish([(lease, snapshot(BOB))])
    with pytest.raises(InvalidValueError, match="does not permit"):
        await harness.cache.publish([(lease, snapshot(ALICE, chain_id=TESTNET))])

    assert await harness.read(ALICE) == Missing()


async def test_who_missed_before_the_publish_need_not_fetch_again(make: Make) -> None:
    """A reader that missed and asks for the lease after the leader's publish reads again."""
    harness = make()
    await harness.put(snapshot(ALICE))

    late = (await harness.cache.acquire(MAINNET, [ALICE], seen={ALICE: 0}))[ALICE]
    refresh = (await harness.cache.acquire(MAINNET, [ALICE], seen={ALICE: 1}))[ALICE]

    assert late == Busy(0)
    assert isinstance(refresh, Lease)


async def test_an_invalidated_snapshot_is_fetched_whatever_was_seen(make: Make) -> None:
    harness = make()
    await harness.put(snapshot(ALICE))
    await harness.cache.invalidate([ALICE], MAINNET)

    answer = (await harness.cache.acquire(MAINNET, [ALICE], seen={ALICE: 0}))[ALICE]

    assert isinstance(answer, Lease)


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


async def test_clear_forgets_the_snapshot_but_not_the_height_demanded(make: Make) -> None:
    harness = make()
    await harness.cache.invalidate([ALICE], MAINNET, 20)
    await harness.put(snapshot(ALICE, height=25))

    gone = await harness.cache.clear([ALICE], MAINNET)

    assert gone == 2
    assert await harness.read(ALICE) == Missing()
    assert (await harness.lease(ALICE)).required_height == 20


async def test_clear_without_a_chain_forgets_every_chain(make: Make) -> None:
    harness = make()
    for chain_id in (MAINNET, TESTNET):
        await harness.put(snapshot(ALICE, chain_id=chain_id))

    assert await harness.cache.clear([ALICE, ALICE]) == 4
    assert await harness.cache.clear([ALICE]) == 0


async def test_clearing_an_invalidation_never_makes_the_old_value_fresh(make: Make) -> None:
    harness = make()
    await harness.put(snapshot(ALICE, height=5))
    await harness.cache.invalidate([ALICE], MAINNET, 6)

    await harness.cache.clear_invalidation([ALICE], MAINNET)
    await harness.cache.clear_invalidation([ALICE])

    assert isinstance(await harness.read(ALICE), Stale)
    late = await harness.cache.publish([(await harness.lease(ALICE), snapshot(ALICE, height=5))])
    assert late[ALICE] is PublishOutcome.BELOW_MINIMUM


async def test_clearing_an_invalidation_leaves_a_fresh_snapshot_fresh(make: Make) -> None:
    harness = make()
    await harness.put(snapshot(ALICE))

    await harness.cache.clear_invalidation([ALICE])

    assert await harness.is_fresh(ALICE)


async def test_clearing_one_chains_invalidation_leaves_the_others(make: Make) -> None:
    harness = make()
    for chain_id in (MAINNET, TESTNET):
        await harness.put(snapshot(ALICE, chain_id=chain_id))
    await harness.cache.invalidate([ALICE])

    await harness.cache.clear_invalidation([ALICE], MAINNET)

    assert (await harness.read(ALICE, TESTNET)).reason is StaleReason.INVALIDATED


async def test_versions_count_the_publishes(make: Make) -> None:
    harness = make()
    versions = []
    for height in (1, 2, 3):
        await harness.put(snapshot(ALICE, height=height))
        versions.append((await harness.read(ALICE)).stored.version)

    assert versions == [1, 2, 3]


async def test_versions_go_on_after_a_clear(make: Make) -> None:
    """A version names one snapshot: who has seen it must be able to tell it from the next."""
    harness = make()
    for height in (1, 2):
        await harness.put(snapshot(ALICE, height=height))

    await harness.cache.clear([ALICE])
    await harness.put(snapshot(ALICE, height=1))

    assert (await harness.read(ALICE)).stored.version == 3


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


async def test_statistics_count_hits_stale_and_misses(make: Make) -> None:
    harness = make()
    await harness.put(snapshot(ALICE))
    await harness.put(snapshot(BOB, chain_id=TESTNET))
    await harness.read(ALICE)
    await harness.read(BOB)
    await harness.cache.invalidate([ALICE], MAINNET)
    await harness.read(ALICE)

    stats = await harness.cache.stats()

    assert (stats["hits"], stats["misses"], stats["stale"]) == (1, 1, 1)
    assert stats["invalidations"] == 1
    assert stats["published"] == 2
    assert stats["by_chain"] == {"0": 1}
    assert stats["total_keys"] == 1
    assert stats["ttl"] == 600
