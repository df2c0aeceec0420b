"""What every `BalanceCache` refuses to store: below a height, older than what it has, too large."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.errors import InvalidValueError
from domain.ports import Lease, PublishOutcome
from domain.values import Balance, Snapshot
from tests.cache_support import ALICE, BOB, MAINNET, TESTNET, URL, Make, asset, snapshot


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


async def test_heights_of_different_chains_are_never_compared(make: Make) -> None:
    harness = make()
    await harness.put(snapshot(ALICE, height=1_000_000, chain_id=TESTNET))

    await harness.put(snapshot(ALICE, height=5, chain_id=MAINNET))

    assert await harness.is_fresh(ALICE, MAINNET)
