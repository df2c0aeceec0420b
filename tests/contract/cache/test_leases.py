"""Who may fetch and publish, and for how long: the leases of every `BalanceCache`."""

from __future__ import annotations

import pytest

from domain.errors import InvalidValueError
from domain.ports import Busy, Lease, PublishOutcome
from domain.values import Missing
from tests.cache_support import ALICE, BOB, MAINNET, TESTNET, Make, snapshot


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
