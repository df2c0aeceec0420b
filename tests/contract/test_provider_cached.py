"""What `CachedProvider` promises, over the real cache and its twin in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cache.connection import connect
from cache.memory import MemoryBalanceCache
from domain.errors import (
    CacheUnavailableError,
    MalformedAnswerError,
    NodeBehindError,
    NodeOverloadedError,
    TransientProviderError,
    VaultTooLargeError,
)
from domain.ports import (
    BalanceReader,
    Busy,
    Demand,
    Lease,
    PublishOutcome,
    Refilled,
    RefillFailed,
    Served,
    Source,
    Unmet,
)
from domain.values import Fresh, Lane, Missing, Stale, StaleReason
from provider.cached import CachedProvider
from provider.prolonging import prolonged
from supervisor.valkey import EmbeddedServer
from tests.cache_support import ManualClock, address, empty_client, redis_cache
from tests.provider_support import NETWORK, FailingCache, ScriptedProvider, until

ALICE, BOB = address(1), address(2)
CHAIN = NETWORK.chain_id


@pytest.fixture(params=["redis", "memory"])
async def cache(request: pytest.FixtureRequest, cache_server: EmbeddedServer) -> AsyncIterator[Any]:
    if request.param == "memory":
        yield MemoryBalanceCache(chain_ids=(CHAIN,), lease_seconds=0.5)
        return
    await (await empty_client(cache_server)).aclose()
    client = connect(cache_server.url())  # a new connection names the history that the flush ended
    store = redis_cache(client, lease_seconds=0.5)
    yield store
    await store.aclose()
    await client.aclose()


@pytest.fixture
def node() -> ScriptedProvider:
    return ScriptedProvider({ALICE: 5, BOB: 7})


@pytest.fixture
async def reader(cache: Any, node: ScriptedProvider) -> AsyncIterator[CachedProvider]:
    reader = CachedProvider(NETWORK, node, cache, read_wait_seconds=3)
    yield reader
    await reader.close()


def amount(served: Served) -> int:
    assert isinstance(served.answer, Fresh | Stale)
    return sum(balance.amount for balance in served.answer.stored.snapshot.balances)


async def is_fresh(cache: Any) -> bool:
    return isinstance((await cache.read(CHAIN, [ALICE]))[ALICE], Fresh)


async def is_due(cache: Any) -> bool:
    return list(await cache.due(CHAIN, 10)) == [ALICE]


async def put(cache: Any, node: ScriptedProvider, *addresses: str) -> None:
    """Make predicates fresh in the cache without going through the reader under test."""
    held = await cache.acquire(CHAIN, addresses)
    height = max(lease.required_height for lease in held.values())
    answers = await node.fetch_many(addresses, required_height=height)
    outcomes = await cache.publish([(held[a], answers[a]) for a in addresses])
    assert set(outcomes.values()) == {PublishOutcome.PUBLISHED}
    node.calls.clear()
    node.required.clear()


def test_the_wrapper_is_a_reader(reader: CachedProvider) -> None:
    typed: BalanceReader = reader
    assert typed.network is NETWORK


async def test_a_miss_is_fetched_once_and_then_served_from_the_cache(
    reader: CachedProvider, node: ScriptedProvider
) -> None:
    first = (await reader.read_many([ALICE]))[ALICE]
    second = (await reader.read_many([ALICE]))[ALICE]
    assert (amount(first), first.source) == (5, Source.NODE)
    assert (amount(second), second.source) == (5, Source.CACHE)
    assert isinstance(first.answer, Fresh)
    assert node.calls == [(ALICE,)]


async def test_many_misses_are_one_fetch(reader: CachedProvider, node: ScriptedProvider) -> None:
    addresses = [address(n) for n in range(10)]
    served = await reader.read_many([*addresses, ALICE])
    assert list(served) == addresses
    assert node.calls == [tuple(addresses)]


async def test_an_empty_vault_is_a_hit_like_any_other(
    reader: CachedProvider, node: ScriptedProvider
) -> None:
    node.amounts[ALICE] = 0
    for _ in range(2):
        assert (await reader.get_balances(ALICE)).balances == ()
    assert len(node.calls) == 1


async def test_readers_of_several_processes_share_one_fetch(
    cache: Any, node: ScriptedProvider
) -> None:
    readers = [CachedProvider(NETWORK, node, cache, read_wait_seconds=3) for _ in range(5)]
    started = asyncio.Event()
    node.before_answer = started.wait
    reads = [asyncio.ensure_future(reader.read_many([ALICE, BOB])) for reader in readers]
    await until(lambda: bool(node.calls))
    started.set()
    for read in reads:
        assert {who: amount(served) for who, served in (await read).items()} == {ALICE: 5, BOB: 7}
    # One of them may win the lease of one vault and another that of the other.
    assert sorted(who for call in node.calls for who in call) == [ALICE, BOB]
    for reader in readers:
        await reader.close()


async def test_a_stampede_of_readers_in_several_processes_fetches_once(
    cache: Any, node: ScriptedProvider
) -> None:
    """Who missed before the publish and asks for the lease after it reads again."""
    readers = [CachedProvider(NETWORK, node, cache, read_wait_seconds=10) for _ in range(4)]

    async with asyncio.timeout(20):
        answers = await asyncio.gather(
            *(readers[number % 4].read_many([ALICE]) for number in range(400))
        )

    assert {amount(served[ALICE]) for served in answers} == {5}
    assert {type(served[ALICE].answer) for served in answers} == {Fresh}
    assert node.calls == [(ALICE,)]
    for reader in readers:
        await reader.close()


async def test_a_reader_who_missed_before_anothers_publish_does_not_fetch(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    """The publish lands between its look at the cache and its wish for the lease."""
    acquire = cache.acquire

    async def late(*given: Any, **named: Any) -> Any:
        cache.acquire = acquire
        await put(cache, node, ALICE)
        return await acquire(*given, **named)

    cache.acquire = late

    served = (await reader.read_many([ALICE]))[ALICE]

    assert isinstance(served.answer, Fresh)
    assert served.source is Source.CACHE
    assert node.calls == []


async def test_what_was_fetched_before_an_invalidation_is_never_served_as_fresh(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    async def a_payment_is_confirmed() -> None:
        if node.amounts[ALICE] == 5:
            node.amounts[ALICE] = 50
            await cache.invalidate([ALICE], CHAIN, 77)

    node.before_answer = a_payment_is_confirmed
    served = (await reader.read_many([ALICE]))[ALICE]
    assert isinstance(served.answer, Fresh)
    assert amount(served) == 50
    assert node.required == [0, 77]


async def test_a_predicate_that_is_invalidated_in_every_fetch_is_stale_and_the_node_is_spared(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    async def invalidate() -> None:
        await cache.invalidate([ALICE], CHAIN)

    node.before_answer = invalidate
    served = (await reader.read_many([ALICE]))[ALICE]
    assert isinstance(served.answer, Stale)
    assert served.answer.reason is StaleReason.INVALIDATED
    assert len(node.calls) == 3
    with pytest.raises(TransientProviderError, match="kept changing"):
        await reader.get_balances(ALICE)
    with pytest.raises(TransientProviderError, match="not accepted"):
        await reader.get_balances_force_refresh(ALICE)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NodeOverloadedError("429"), StaleReason.NODE_DOWN),
        (NodeBehindError(90, 80), StaleReason.NODE_BEHIND),
        (MalformedAnswerError("wrong"), StaleReason.NODE_DOWN),
    ],
)
async def test_a_node_failure_costs_one_attempt_and_is_never_a_balance(
    cache: Any,
    reader: CachedProvider,
    node: ScriptedProvider,
    error: Any,
    reason: StaleReason,
) -> None:
    await put(cache, node, BOB)
    await cache.invalidate([BOB], CHAIN)
    node.error = error
    served = await reader.read_many([ALICE, BOB])
    assert served[ALICE].answer == Missing()
    stale = served[BOB].answer
    assert isinstance(stale, Stale)
    assert stale.reason in {reason, StaleReason.INVALIDATED}
    assert node.calls == [(ALICE, BOB)]
    with pytest.raises(type(error)):
        await reader.get_balances(ALICE)
    with pytest.raises(type(error)):
        await reader.get_balances_force_refresh(ALICE)
    assert len(node.calls) == 3


@pytest.mark.parametrize(
    ("error", "expired", "invalidated"),
    [
        (NodeOverloadedError("429"), StaleReason.NODE_DOWN, StaleReason.INVALIDATED),
        (NodeBehindError(90, 80), StaleReason.NODE_BEHIND, StaleReason.NODE_BEHIND),
    ],
)
async def test_the_reason_says_why_it_is_stale_and_never_hides_an_invalidation(
    node: ScriptedProvider, error: Any, expired: StaleReason, invalidated: StaleReason
) -> None:
    clock = ManualClock()
    cache = MemoryBalanceCache(clock, chain_ids=(CHAIN,), fresh_seconds=60)
    reader = CachedProvider(NETWORK, node, cache)
    await put(cache, node, ALICE, BOB)
    clock.step(61)
    await cache.invalidate([BOB], CHAIN)
    node.error = error
    served = await reader.read_many([ALICE, BOB])
    await reader.close()
    reasons = [one.answer.reason for one in served.values() if isinstance(one.answer, Stale)]
    assert reasons == [expired, invalidated]


async def test_leases_are_given_back_when_the_fetch_fails(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    node.error = NodeOverloadedError("429")
    await reader.read_many([ALICE])
    assert isinstance((await cache.acquire(CHAIN, [ALICE]))[ALICE], Lease)


async def test_leases_are_given_back_when_the_refill_is_cancelled(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    node.before_answer = asyncio.Event().wait
    refill = asyncio.ensure_future(reader.refill([ALICE], lane=Lane.WARMUP))
    await until(lambda: bool(node.calls))
    refill.cancel()
    with pytest.raises(asyncio.CancelledError):
        await refill
    assert isinstance((await cache.acquire(CHAIN, [ALICE]))[ALICE], Lease)


async def test_a_leader_that_died_is_replaced_when_its_lease_ends(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    await cache.acquire(CHAIN, [ALICE])
    served = (await reader.read_many([ALICE]))[ALICE]
    assert amount(served) == 5
    assert node.calls == [(ALICE,)]


async def test_a_live_leader_keeps_its_lease_however_long_the_node_takes(
    node: ScriptedProvider,
) -> None:
    """Else each reader would take over from the one before, and nobody would ever publish."""
    clock = ManualClock()
    cache: Any = MemoryBalanceCache(clock, chain_ids=(CHAIN,), lease_seconds=0.06)
    extended = asyncio.Semaphore(0)
    extend = cache.extend

    async def extend_and_tell(leases: Any) -> Any:
        kept = await extend(leases)
        extended.release()
        return kept

    cache.extend = extend_and_tell
    reader = CachedProvider(NETWORK, node, cache, read_wait_seconds=20)
    gate = asyncio.Event()
    node.before_answer = gate.wait
    read = asyncio.ensure_future(reader.read_many([ALICE]))
    async with asyncio.timeout(20):
        for _ in range(5):  # together several times as long as the lease
            await extended.acquire()
            clock.step(0.05)
            assert isinstance((await cache.acquire(CHAIN, [ALICE]))[ALICE], Busy)
            await extended.acquire()
        gate.set()
        served = (await read)[ALICE]

    assert isinstance(served.answer, Fresh)
    assert node.calls == [(ALICE,)]
    await reader.close()


async def test_a_lease_is_prolonged_until_it_is_lost_and_though_the_cache_was_away() -> None:
    cache: Any = FailingCache(MemoryBalanceCache(chain_ids=(CHAIN,), lease_seconds=0.03), "extend")
    held = (await cache.acquire(CHAIN, [ALICE, BOB])).values()

    async with prolonged(cache, list(held)):
        await until(lambda: cache.used.count("extend") >= 2)
        cache.failing.clear()
        await cache.invalidate([ALICE, BOB], CHAIN)
        await until(lambda: "prolong leases" not in {t.get_name() for t in asyncio.all_tasks()})


async def test_what_another_process_has_just_refreshed_is_not_refreshed_again_behind(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    """The refill by another lands between the read of the stale one and the wish for a lease."""
    await put(cache, node, ALICE)
    await cache.invalidate([ALICE], CHAIN)
    acquire = cache.acquire

    async def late(*given: Any, **named: Any) -> Any:
        cache.acquire = acquire
        await put(cache, node, ALICE)
        return await acquire(*given, **named)

    cache.acquire = late

    await reader.read_many([ALICE], allow_stale=True)
    await until(lambda: not reader._behind._under_way)

    assert node.calls == []


async def test_a_reader_that_takes_stale_does_not_wait_and_the_refresh_goes_on_behind(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    await put(cache, node, ALICE)
    await cache.invalidate([ALICE], CHAIN)
    node.amounts[ALICE] = 6
    served = (await reader.read_many([ALICE], allow_stale=True))[ALICE]
    assert isinstance(served.answer, Stale)
    assert amount(served) == 5
    await until(lambda: is_fresh(cache))
    assert amount((await reader.read_many([ALICE]))[ALICE]) == 6
    assert node.calls == [(ALICE,)]


async def test_what_is_due_is_served_at_once_and_refreshed_behind(node: ScriptedProvider) -> None:
    clock = ManualClock()
    cache = MemoryBalanceCache(
        clock, chain_ids=(CHAIN,), fresh_seconds=60, refresh_ahead_seconds=30
    )
    reader = CachedProvider(NETWORK, node, cache)
    await put(cache, node, ALICE)
    clock.step(45)
    node.amounts[ALICE] = 6
    gate = asyncio.Event()
    node.before_answer = gate.wait
    for _ in range(3):  # one refresh, however many read
        served = (await reader.read_many([ALICE]))[ALICE]
        assert isinstance(served.answer, Fresh)
        assert (amount(served), served.source) == (5, Source.CACHE)
    await until(lambda: bool(node.calls))
    assert node.lanes[-1] is Lane.REFRESH
    node.before_answer = None
    gate.set()
    await until(lambda: node.calls == [(ALICE,)])
    await reader.close()


async def test_a_reader_whose_time_is_over_gets_stale_and_the_fetch_still_counts(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    await put(cache, node, ALICE)
    await cache.invalidate([ALICE], CHAIN)
    node.amounts[ALICE] = 6
    release = asyncio.Event()
    node.before_answer = release.wait
    served = (await reader.read_many([ALICE], wait_seconds=0.05))[ALICE]
    assert isinstance(served.answer, Stale)
    release.set()
    assert amount((await reader.read_many([ALICE]))[ALICE]) == 6
    assert len(node.calls) == 1


async def test_reading_makes_a_predicate_hot(cache: Any, reader: CachedProvider) -> None:
    await reader.read_many([ALICE])
    await cache.invalidate([ALICE], CHAIN)
    await until(lambda: is_due(cache))


@pytest.mark.parametrize("away", ["*", "acquire", "publish"])
async def test_without_redis_the_node_is_asked_directly(
    cache: Any, node: ScriptedProvider, away: str
) -> None:
    reader = CachedProvider(NETWORK, node, FailingCache(cache, away), read_wait_seconds=3)
    served = (await reader.read_many([ALICE]))[ALICE]
    await reader.close()
    assert (amount(served), served.source) == (5, Source.NODE)


async def test_without_redis_simultaneous_readers_share_one_fetch(
    cache: Any, node: ScriptedProvider
) -> None:
    reader = CachedProvider(NETWORK, node, FailingCache(cache, "*"), read_wait_seconds=3)
    gate = asyncio.Event()
    node.before_answer = gate.wait
    reads = [asyncio.ensure_future(reader.read_many([ALICE])) for _ in range(50)]
    await until(lambda: bool(node.calls))
    gate.set()
    assert {amount((await read)[ALICE]) for read in reads} == {5}
    assert len(node.calls) == 1
    await reader.close()


async def test_without_redis_and_without_the_node_a_vault_is_missing(
    cache: Any, node: ScriptedProvider
) -> None:
    node.error = NodeOverloadedError("503")
    reader = CachedProvider(NETWORK, node, FailingCache(cache, "*"), read_wait_seconds=1)
    assert (await reader.read_many([ALICE]))[ALICE] == Served(Missing(), Source.NODE)
    with pytest.raises(CacheUnavailableError):
        await reader.refill([ALICE], lane=Lane.WARMUP)
    with pytest.raises(NodeOverloadedError):
        await reader.get_balances_force_refresh(ALICE)
    await reader.close()


async def test_switched_off_the_cache_is_neither_read_nor_written(
    cache: Any, node: ScriptedProvider
) -> None:
    watched = FailingCache(cache)
    reader = CachedProvider(NETWORK, node, watched, enabled=False)
    for _ in range(2):
        served = (await reader.read_many([ALICE]))[ALICE]
        assert (amount(served), served.source) == (5, Source.NODE)
    assert (await reader.get_balances_force_refresh(ALICE)).address == ALICE
    assert await reader.refill([ALICE], lane=Lane.WARMUP) == {}
    await reader.close()
    assert watched.used == []
    assert len(node.calls) == 3


async def test_a_forced_refresh_asks_the_node_although_the_cache_is_fresh(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    await put(cache, node, ALICE)
    node.amounts[ALICE] = 6
    assert (await reader.get_balances(ALICE)).balances[0].amount == 5
    assert (await reader.get_balances_force_refresh(ALICE)).balances[0].amount == 6
    assert (await reader.get_balances(ALICE)).balances[0].amount == 6


async def test_a_forced_refresh_never_returns_what_another_fetch_began_before_it(
    reader: CachedProvider, node: ScriptedProvider
) -> None:
    gate = asyncio.Event()
    node.before_answer = gate.wait
    read = asyncio.ensure_future(reader.read_many([ALICE]))
    await until(lambda: bool(node.calls))
    node.amounts[ALICE] = 6
    forced = asyncio.ensure_future(reader.get_balances_force_refresh(ALICE))
    gate.set()
    await read
    assert (await forced).balances[0].amount == 6


async def test_a_refill_says_what_became_of_each_predicate(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    await cache.acquire(CHAIN, [BOB])
    await cache.invalidate([ALICE], CHAIN, 33)
    outcomes = await reader.refill([ALICE, BOB], lane=Lane.INVALIDATION, required_height=30)
    assert isinstance(outcomes[ALICE], Refilled)
    assert isinstance(outcomes[BOB], Busy)
    assert node.required == [33]
    assert node.lanes == [Lane.INVALIDATION]
    node.error = NodeOverloadedError("429")
    outcomes = await reader.refill([ALICE], lane=Lane.WARMUP)
    assert outcomes[ALICE] == RefillFailed(node.error)


async def test_a_refill_that_is_refused_because_of_a_newer_snapshot_is_not_repeated(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    class Older(FailingCache):
        async def publish(self, leased: Any) -> Any:
            return {lease.address: PublishOutcome.OLDER_THAN_STORED for lease, _ in leased}

    older = CachedProvider(NETWORK, node, Older(cache))
    outcome = (await older.refill([ALICE], lane=Lane.WARMUP))[ALICE]
    await older.close()
    assert isinstance(outcome, RefillFailed)
    assert outcome.error is PublishOutcome.OLDER_THAN_STORED
    assert len(node.calls) == 1


async def test_a_vault_that_is_too_large_to_keep_is_an_error_at_once(
    reader: CachedProvider, cache: Any, node: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cache.codec.MAX_VALUE_BYTES", 150)
    served = (await reader.read_many([ALICE]))[ALICE]
    outcome = (await reader.refill([ALICE], lane=Lane.WARMUP))[ALICE]
    assert served.answer == Missing()
    assert isinstance(outcome, RefillFailed)
    assert isinstance(outcome.error, VaultTooLargeError)
    assert len(node.calls) == 2, "each of them asked once"
    with pytest.raises(VaultTooLargeError):
        await reader.get_balances(ALICE)
    assert (await cache.stats())["too_large"] == 3


async def test_a_height_that_is_known_already_costs_nothing_and_a_greater_one_is_asked_for(
    reader: CachedProvider, cache: Any, node: ScriptedProvider
) -> None:
    await reader.read_many([ALICE, BOB], demand=Demand(min_height=20))
    asked = list(node.required)
    node.calls.clear()

    known = await reader.read_many([ALICE, BOB], demand=Demand(min_height=20))
    assert node.calls == []
    node.amounts[ALICE] = 6
    later = await reader.read_many([ALICE, BOB], demand=Demand(min_height=21))

    assert asked == [20]
    assert node.required[-1] == 21
    assert [amount(one) for one in known.values()] == [5, 7]
    assert [amount(one) for one in later.values()] == [6, 7]
    assert {one.unmet for one in (*known.values(), *later.values())} == {None}


async def test_a_node_without_the_height_refuses_and_what_there_is_stays_fresh(
    reader: CachedProvider, cache: Any, node: ScriptedProvider
) -> None:
    await put(cache, node, ALICE)
    node.error = NodeBehindError(99, 10)

    refused = (await reader.read_many([ALICE, BOB], demand=Demand(min_height=99)))[ALICE]
    unknown = (await reader.read_many([BOB], demand=Demand(min_height=99)))[BOB]
    plain = (await reader.read_many([ALICE]))[ALICE]

    assert isinstance(refused.answer, Fresh)
    assert (amount(refused), refused.unmet) == (5, Unmet.REFUSED)
    assert (unknown.answer, unknown.unmet) == (Missing(), Unmet.REFUSED)
    assert isinstance(plain.answer, Fresh)
    assert plain.unmet is None


async def test_a_reader_without_time_gets_what_there_is_and_the_fetch_goes_on(
    reader: CachedProvider, cache: Any, node: ScriptedProvider
) -> None:
    await put(cache, node, ALICE)
    node.amounts[ALICE] = 6
    gate = asyncio.Event()
    node.before_answer = gate.wait

    pending = (await reader.read_many([ALICE], wait_seconds=0, demand=Demand(min_height=30)))[ALICE]
    gate.set()
    await until(lambda: _has_height(cache, 30))
    met = (await reader.read_many([ALICE], wait_seconds=0, demand=Demand(min_height=30)))[ALICE]

    assert (amount(pending), pending.unmet) == (5, Unmet.PENDING)
    assert (amount(met), met.unmet) == (6, None)
    assert len(node.calls) == 1


async def _has_height(cache: Any, height: int) -> bool:
    answer = (await cache.read(CHAIN, [ALICE], counted=False))[ALICE]
    return isinstance(answer, Fresh) and answer.stored.snapshot.height >= height


async def test_what_is_older_than_demanded_is_fetched_again_once(
    reader: CachedProvider, cache: Any, node: ScriptedProvider
) -> None:
    await put(cache, node, ALICE)
    node.amounts[ALICE] = 6

    young = (await reader.read_many([ALICE], demand=Demand(max_age_ms=60_000)))[ALICE]
    assert node.calls == []
    renewed = (await reader.read_many([ALICE], demand=Demand(max_age_ms=-1)))[ALICE]

    assert (amount(young), amount(renewed)) == (5, 6)
    assert (young.unmet, renewed.unmet) == (None, None)
    assert len(node.calls) == 1


async def test_an_invalidated_vault_is_not_called_fresh_whatever_its_height(
    reader: CachedProvider, cache: Any, node: ScriptedProvider
) -> None:
    await reader.read_many([ALICE], demand=Demand(min_height=50))
    await cache.invalidate([ALICE], CHAIN, 51)
    node.error = NodeBehindError(51, 50)

    served = (await reader.read_many([ALICE], demand=Demand(min_height=50)))[ALICE]

    assert isinstance(served.answer, Stale)
    assert served.answer.reason is StaleReason.NODE_BEHIND
    assert served.unmet is None  # true at that height, and known to be old


async def test_without_a_cache_a_demand_is_judged_by_what_the_node_tells(
    cache: Any, node: ScriptedProvider
) -> None:
    away = CachedProvider(NETWORK, node, FailingCache(cache, "*"), read_wait_seconds=3)
    off = CachedProvider(NETWORK, node, cache, read_wait_seconds=3, enabled=False)

    blind = (await away.read_many([ALICE], demand=Demand(min_height=40)))[ALICE]
    asked = (await off.read_many([ALICE], demand=Demand(min_height=40, max_age_ms=1_000)))[ALICE]
    await away.close()
    await off.close()

    assert (amount(blind), blind.unmet) == (5, None)
    assert (amount(asked), asked.unmet) == (5, None)
    assert node.required == [40, 40]
