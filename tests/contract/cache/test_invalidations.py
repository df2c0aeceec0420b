"""What an invalidation takes from every `BalanceCache`, and that clearing it gives nothing back."""

from __future__ import annotations

import pytest

from domain.errors import InvalidValueError
from domain.ports import Lease, PublishOutcome
from domain.values import Missing, Stale, StaleReason
from tests.cache_support import ALICE, MAINNET, TESTNET, Make, snapshot


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


async def test_an_invalidated_snapshot_is_fetched_whatever_was_seen(make: Make) -> None:
    harness = make()
    await harness.put(snapshot(ALICE))
    await harness.cache.invalidate([ALICE], MAINNET)

    answer = (await harness.cache.acquire(MAINNET, [ALICE], seen={ALICE: 0}))[ALICE]

    assert isinstance(answer, Lease)


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
