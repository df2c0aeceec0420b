"""What every `BalanceCache` answers to who reads, looks for work, or counts."""

from __future__ import annotations

from domain.values import Balance, Fresh, Missing, Snapshot
from tests.cache_support import ALICE, BOB, MAINNET, TESTNET, URL, Make, address, asset, snapshot


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


async def test_versions_count_the_publishes(make: Make) -> None:
    harness = make()
    versions = []
    for height in (1, 2, 3):
        await harness.put(snapshot(ALICE, height=height))
        versions.append((await harness.read(ALICE)).stored.version)

    assert versions == [1, 2, 3]


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
