"""What every `RefreshSchedule` promises, beside the cache whose readers fill it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from cache.memory import MemoryBalanceCache
from cache.store import RedisBalanceCache
from domain.ports import RefreshSchedule
from domain.refreshing import LEAST_PRICE, Appointment, ChangeRecord, Claim, RefreshRules
from domain.values import Address
from supervisor.valkey import EmbeddedServer
from tests.cache_support import (
    ALICE,
    BOB,
    MAINNET,
    REFRESH_RULES,
    TESTNET,
    Harness,
    ManualClock,
    address,
    empty_client,
    redis_cache,
    snapshot,
)

RULES = replace(REFRESH_RULES, calls_per_minute=60_000)
FEW = replace(RULES, calls_per_minute=6)
"""Two calls are saved up at most, and one comes back in ten seconds."""


@dataclass
class Desk(Harness):
    """A cache, and the schedule of its hot set."""

    schedule: RefreshSchedule

    async def claim(self, rules: RefreshRules = RULES) -> Claim:
        return await self.schedule.claim(MAINNET, rules)

    async def settle(
        self,
        *made: Appointment,
        price: float = LEAST_PRICE,
        unused: int = 0,
        rules: RefreshRules = RULES,
    ) -> None:
        await self.schedule.settle(MAINNET, made, price=price, unused_calls=unused, rules=rules)


Make = Callable[..., Desk]


@pytest.fixture(params=["redis", "hash tags", "memory"])
async def make(request: pytest.FixtureRequest, cache_server: EmbeddedServer) -> AsyncIterator[Make]:
    clock, made = ManualClock(), []
    client = await empty_client(cache_server)

    def build(**lives: Any) -> Desk:
        cache: MemoryBalanceCache | RedisBalanceCache
        if request.param == "memory":
            cache = MemoryBalanceCache(clock, **lives)
            return Desk(cache, clock.step, cache.schedule)
        cache = redis_cache(client, hash_tags=request.param == "hash tags", **lives)
        made.append(cache)
        return Desk(cache, lambda: None, cache.schedule)

    yield build
    for cache in made:
        await cache.aclose()
    await client.aclose()


def names(claim: Claim) -> list[Address]:
    return [one.address for one in claim.candidates]


async def test_who_was_read_and_is_not_fresh_is_claimed(make: Make) -> None:
    desk = make()
    await desk.cache.mark_read(MAINNET, [ALICE])

    claim = await desk.claim()

    [one] = claim.candidates
    assert (one.address, one.stored, one.age_seconds, one.fresh) == (ALICE, None, None, False)
    assert (one.due, one.announced, one.record) == (True, False, ChangeRecord())
    assert one.reads == pytest.approx(1, abs=0.01)
    assert claim.price == LEAST_PRICE
    assert claim.left == 0


async def test_chains_do_not_share_their_schedule(make: Make) -> None:
    desk = make()
    await desk.cache.mark_read(TESTNET, [ALICE])

    assert names(await desk.claim()) == []
    assert names(await desk.schedule.claim(TESTNET, RULES)) == [ALICE]


async def test_two_runs_never_claim_the_same(make: Make) -> None:
    desk = make()
    crowd = [address(n) for n in range(10, 20)]
    await desk.cache.mark_read(MAINNET, crowd)

    first, second = await asyncio.gather(desk.claim(), desk.claim())

    assert sorted(names(first) + names(second)) == crowd


async def test_two_runs_never_spend_one_call_twice(make: Make) -> None:
    desk = make()
    await desk.cache.mark_read(MAINNET, [address(n) for n in range(10, 30)])

    claims = [await desk.claim(FEW) for _ in range(4)]

    assert [claim.calls for claim in claims] == [2, 0, 0, 0]
    assert [len(claim.candidates) for claim in claims] == [6, 0, 0, 0]


async def test_calls_that_were_not_made_are_given_back_but_not_more_than_are_saved(
    make: Make,
) -> None:
    desk = make()
    await desk.cache.mark_read(MAINNET, [ALICE])
    await desk.claim(FEW)

    await desk.settle(unused=50, rules=FEW)
    await desk.cache.mark_read(MAINNET, [BOB])

    assert (await desk.claim(FEW)).calls == 2


async def test_as_many_calls_are_given_back_as_were_not_made(make: Make) -> None:
    desk = make()
    await desk.cache.mark_read(MAINNET, [ALICE])
    first = await desk.claim(FEW)

    await desk.settle(unused=1, rules=FEW)
    await desk.cache.mark_read(MAINNET, [BOB])

    assert (first.calls, (await desk.claim(FEW)).calls) == (2, 1)


async def test_calls_come_back_with_time(make: Make) -> None:
    desk, quick = make(), replace(FEW, calls_per_minute=600, interval_seconds=0.05)
    await desk.cache.mark_read(MAINNET, [ALICE])
    first = await desk.claim(quick)
    assert (first.calls, names(first)) == (1, [ALICE])

    async def is_spent() -> bool:
        return (await desk.claim(quick)).calls == 0

    async def is_granted() -> bool:
        return (await desk.claim(quick)).calls == 1

    await desk.until(is_spent)
    await desk.until(is_granted)


async def test_a_request_is_filled_up_with_those_who_are_nearly_due(make: Make) -> None:
    desk = make(fresh_seconds=100, refresh_ahead_seconds=20)
    near, far = address(3), address(4)
    for one in (near, far):
        await desk.put(snapshot(one))
    await desk.cache.mark_read(MAINNET, [ALICE, near, far])

    claim = await desk.claim(replace(RULES, batch_size=2, ahead_seconds=90))

    assert [one.due for one in claim.candidates] == [True, False]
    assert claim.candidates[1].address in {near, far}


async def test_nobody_is_claimed_only_because_it_is_nearly_due(make: Make) -> None:
    desk = make(fresh_seconds=100, refresh_ahead_seconds=20)
    await desk.put(snapshot(ALICE))
    await desk.cache.mark_read(MAINNET, [ALICE])

    assert names(await desk.claim(replace(RULES, ahead_seconds=90))) == []


async def test_what_is_left_behind_is_counted(make: Make) -> None:
    desk = make()
    await desk.cache.mark_read(MAINNET, [address(n) for n in range(10, 20)])

    claim = await desk.claim(FEW)

    assert (len(claim.candidates), claim.left) == (6, 4)


async def test_an_appointment_is_kept(make: Make) -> None:
    desk = make()
    await desk.cache.mark_read(MAINNET, [ALICE, BOB])
    await desk.claim()

    await desk.settle(Appointment(ALICE, 0.05), Appointment(BOB, 600))

    async def alice_is_due() -> bool:
        return names(await desk.claim()) == [ALICE]

    await desk.until(alice_is_due)


async def test_what_was_learnt_and_the_price_are_kept(make: Make) -> None:
    desk, record = make(), ChangeRecord(2.5, 7200)
    await desk.cache.mark_read(MAINNET, [ALICE])
    await desk.claim()

    await desk.settle(Appointment(ALICE, 0.001, record), price=0.75)
    found: list[Claim] = []

    async def is_due() -> bool:
        found.append(await desk.claim())
        return bool(found[-1].candidates)

    await desk.until(is_due)
    assert found[-1].candidates[0].record == record
    assert found[-1].price == 0.75


async def test_an_appointment_without_news_keeps_what_was_learnt(make: Make) -> None:
    desk, record = make(), ChangeRecord(1, 60)
    await desk.cache.mark_read(MAINNET, [ALICE])
    await desk.claim()
    await desk.settle(Appointment(ALICE, 500, record))
    await desk.settle(Appointment(ALICE, 500))

    await desk.cache.invalidate([ALICE], MAINNET)

    assert (await desk.claim()).candidates[0].record == record


async def test_who_is_invalidated_during_a_run_is_due_at_once(make: Make) -> None:
    desk = make()
    await desk.cache.mark_read(MAINNET, [ALICE])
    await desk.claim()

    await desk.cache.invalidate([ALICE], MAINNET)
    await desk.settle(Appointment(ALICE, 600))

    claim = await desk.claim()
    assert names(claim) == [ALICE]


async def test_a_claim_tells_what_is_stored_and_that_a_change_was_announced(make: Make) -> None:
    desk = make()
    told = snapshot(ALICE, 7, height=5)
    await desk.put(told)
    await desk.cache.mark_read(MAINNET, [ALICE])
    await desk.cache.invalidate([ALICE], MAINNET)

    [one] = (await desk.claim()).candidates

    assert one.stored is not None
    assert one.stored.snapshot == told
    assert one.age_seconds is not None
    assert 0 <= one.age_seconds < 60
    assert (one.fresh, one.announced) == (False, True)


async def test_reads_are_counted(make: Make) -> None:
    desk = make()
    for _ in range(3):
        await desk.cache.mark_read(MAINNET, [ALICE])

    [one] = (await desk.claim()).candidates

    assert one.reads == pytest.approx(3, abs=0.05)


async def test_reads_fade(make: Make) -> None:
    desk = make(hot_life_seconds=0.6)

    async def has_faded() -> bool:
        await desk.cache.mark_read(MAINNET, [BOB])
        found = [one for one in (await desk.claim()).candidates if one.address == ALICE]
        if not found:  # not read yet, or not looked at before its hot life was over
            for _ in range(10):
                await desk.cache.mark_read(MAINNET, [ALICE])
            return False
        return found[0].reads < 9

    await desk.until(lambda: _invalidated_and(desk, has_faded))


async def _invalidated_and(desk: Desk, condition: Callable[[], Any]) -> bool:
    await desk.cache.invalidate([ALICE], MAINNET)  # due again
    return bool(await condition())


async def test_who_is_not_read_any_more_falls_out_with_all_that_was_known(make: Make) -> None:
    """Also when what is known is newer than the last read: it was kept longer than that once."""
    desk, record = make(hot_life_seconds=0.1), ChangeRecord(9, 60)
    claims: list[Claim] = []

    async def is_claimed() -> bool:
        await desk.cache.invalidate([ALICE], MAINNET)  # due again
        claims.append(await desk.claim())
        return names(claims[-1]) == [ALICE]

    async def is_known() -> bool:
        await desk.cache.mark_read(MAINNET, [ALICE])
        found = await is_claimed() and claims[-1].candidates[0].record == record
        await desk.settle(Appointment(ALICE, 600, record))
        return found

    async def is_cold() -> bool:
        is_cold = not await is_claimed()
        await desk.settle(Appointment(ALICE, 0.001, record))
        return is_cold

    async def is_read_again() -> bool:
        await desk.cache.mark_read(MAINNET, [ALICE])
        return await is_claimed()

    await desk.until(is_known)
    await desk.until(is_cold)
    assert names(await desk.claim()) == []
    await desk.until(is_read_again)
    assert claims[-1].candidates[0].record == ChangeRecord()


async def test_who_is_not_read_falls_out_while_others_are_read(make: Make) -> None:
    desk = make(hot_life_seconds=0.3)
    await desk.cache.mark_read(MAINNET, [ALICE])

    async def is_cold() -> bool:
        await desk.cache.mark_read(MAINNET, [BOB])
        await desk.cache.invalidate([ALICE, BOB], MAINNET)  # due again
        claimed = names(await desk.claim())
        return BOB in claimed and ALICE not in claimed

    await desk.until(is_cold)


async def test_damaged_keys_are_worth_nothing_and_heal(cache_server: EmbeddedServer) -> None:
    client = await empty_client(cache_server)
    cache = redis_cache(client)
    kept = [f"bc:{part}:{MAINNET}" for part in ("hot", "due", "reads", "watched", "refresh")]

    async def damage() -> None:
        for key in kept:
            await client.set(key, "damaged")

    async def settle() -> None:
        made = [Appointment(ALICE, 5, ChangeRecord(1, 60))]
        await cache.schedule.settle(MAINNET, made, price=LEAST_PRICE, unused_calls=1, rules=RULES)

    await damage()
    await settle()
    await damage()
    assert names(await cache.schedule.claim(MAINNET, RULES)) == []
    await damage()
    await cache.mark_read(MAINNET, [ALICE])
    assert names(await cache.schedule.claim(MAINNET, RULES)) == [ALICE]
    await client.set(f"bc:watched:{MAINNET}", "damaged")
    await settle()
    assert await client.hexists(f"bc:watched:{MAINNET}", ALICE)
    await cache.aclose()


async def test_every_key_has_an_end_of_life(cache_server: EmbeddedServer) -> None:
    client = await empty_client(cache_server)
    cache = redis_cache(client)

    async def settle(*made: Appointment) -> None:
        await cache.schedule.settle(MAINNET, made, price=LEAST_PRICE, unused_calls=0, rules=RULES)

    async def without_end() -> list[bytes | str]:
        return [key for key in await client.keys() if await client.pttl(key) < 0]

    await settle()
    assert await without_end() == []
    await client.flushdb()
    await cache.mark_read(MAINNET, [ALICE])
    await cache.schedule.claim(MAINNET, RULES)
    assert await without_end() == []
    await settle(Appointment(ALICE, 5, ChangeRecord(1, 60)))
    assert await client.exists(f"bc:watched:{MAINNET}")
    assert await without_end() == []
    await cache.aclose()


async def test_a_claim_is_no_read_for_the_statistics(make: Make) -> None:
    desk = make()
    await desk.put(snapshot(ALICE))
    await desk.cache.mark_read(MAINNET, [ALICE])
    await desk.cache.invalidate([ALICE], MAINNET)

    await desk.claim()

    stats = await desk.cache.stats()
    assert (stats["hits"], stats["stale"], stats["misses"]) == (0, 0, 0)
