"""What happened to a vault, in order, on a real server."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from cache.connection import connect
from cache.inspection import Inspector
from cache.recent import RecentKind, RecentLog
from cache.store import RedisBalanceCache
from cache.vault_log import KEPT, VaultLog
from domain.events import Note, VaultEventKind, invalidated
from domain.ports import Lease
from tests.cache_support import MAINNET, TESTNET, Harness, address, snapshot

VAULT, OTHER = address(1), address(2)


def failed(detail: str) -> Note:
    return Note(VaultEventKind.FETCH_FAILED, detail)


async def test_events_come_in_order_with_their_authors(
    client: Redis, cache: RedisBalanceCache
) -> None:
    log, harness = VaultLog(client), Harness(cache, lambda: None)
    await harness.put(snapshot(VAULT, height=10))
    await cache.invalidate([VAULT, OTHER], MAINNET, 12)
    await log.note(MAINNET, invalidated([VAULT], "transaction 0xfeed", 12))
    await log.note(MAINNET, {VAULT: failed("NodeBehindError")})
    await harness.put(snapshot(VAULT, height=13))

    events = await log.events(MAINNET, VAULT)

    assert [(e.kind.value, e.detail, e.height) for e in events] == [
        ("published", "", 10),
        ("invalidated", "transaction 0xfeed", 12),
        ("fetch_failed", "NodeBehindError", None),
        ("published", "", 13),
    ]
    # Nobody said who it was: the stream of changes knows of it all the same.
    assert [(e.kind.value, e.detail) for e in await log.events(MAINNET, OTHER)] == [
        ("invalidated", "")
    ]
    assert await log.events(TESTNET, VAULT) == []


async def test_the_same_failure_again_counts_up_and_pushes_nothing_out(client: Redis) -> None:
    log = VaultLog(client)
    await log.note(MAINNET, invalidated([VAULT], "transaction 0xfeed"))
    await log.note(MAINNET, {VAULT: failed("NodeUnreachableError")})
    begun = (await log.events(MAINNET, VAULT))[1].at_ms
    for _ in range(KEPT + 4):
        await log.note(MAINNET, {VAULT: failed("NodeUnreachableError")})

    first, second = await log.events(MAINNET, VAULT)

    assert (first.kind, second.kind) == (VaultEventKind.INVALIDATED, VaultEventKind.FETCH_FAILED)
    assert second.times == KEPT + 5
    assert second.since_ms == begun < second.at_ms


async def test_the_list_is_bounded_and_has_a_life(client: Redis) -> None:
    log = VaultLog(client)
    for number in range(KEPT + 5):
        await log.note(MAINNET, {VAULT: failed(f"failure {number}")})

    events = await log.events(MAINNET, VAULT)

    assert [e.detail for e in events] == [f"failure {n}" for n in range(5, KEPT + 5)]
    assert 0 < await client.pttl(f"bc:events:{VAULT}:{MAINNET}") <= 86_400_000


async def test_a_damaged_list_is_no_obstacle(client: Redis) -> None:
    log = VaultLog(client)
    await client.rpush(f"bc:events:{VAULT}:{MAINNET}", "not json", '{"kind": "nonsense"}')
    await client.set(f"bc:events:{OTHER}:{MAINNET}", "a string")
    await log.note(MAINNET, {VAULT: failed("real"), OTHER: failed("real")})

    assert [e.detail for e in await log.events(MAINNET, VAULT)] == ["real"]
    assert [e.detail for e in await log.events(MAINNET, OTHER)] == ["real"]


async def test_telling_never_fails_while_redis_is_away() -> None:
    client = connect("redis://127.0.0.1:1/0")
    log = VaultLog(client)
    await log.note(MAINNET, {VAULT: failed("gone")})
    await log.took(MAINNET, [VAULT], 5.0)
    await client.aclose()


async def test_what_happened_lately_is_listed_for_all_vaults_together(client: Redis) -> None:
    log, recent = VaultLog(client), RecentLog(client)
    vaults = [address(number) for number in range(8)]
    await log.note(MAINNET, invalidated(vaults, "transaction 0xfeed"))
    await log.took(MAINNET, vaults, 0.4)
    await log.took(TESTNET, vaults[:2], 2.5)

    [change] = await recent.latest(RecentKind.INVALIDATED, 10)
    [slow] = await recent.latest(RecentKind.SLOW, 10)

    assert (change.count, len(change.addresses), change.detail) == (8, 5, "transaction 0xfeed")
    assert (slow.chain_id, slow.seconds, slow.count) == (TESTNET, 2.5, 2)
    assert await recent.latest(RecentKind.FAILED, 10) == []
    for kind in (RecentKind.INVALIDATED, RecentKind.SLOW):
        assert 0 < await client.pttl(f"bc:recent:{kind.value}") <= 86_400_000


async def test_an_inspection_shows_what_is_held_and_changes_nothing(
    client: Redis, cache: RedisBalanceCache
) -> None:
    inspector, harness = Inspector(client, hot_life_seconds=3600), Harness(cache, lambda: None)
    nothing = await inspector.look(MAINNET, VAULT)
    await harness.put(snapshot(VAULT, height=10))
    await cache.mark_read(MAINNET, [VAULT])
    await cache.mark_read(MAINNET, [VAULT, OTHER])
    await cache.invalidate([VAULT], MAINNET, 12)
    lease = (await cache.acquire(MAINNET, [VAULT]))[VAULT]
    assert isinstance(lease, Lease)
    before = {key: await client.dump(key) for key in await client.keys("*")}

    found = await inspector.look(MAINNET, VAULT)
    hottest = await inspector.hottest(MAINNET, 10)

    assert nothing.heat is None
    assert not nothing.is_invalidated
    assert (found.value_left_ms, found.minimum, found.version) == (None, 12, 1)
    assert found.is_invalidated
    assert found.chain_flag is not None
    assert found.global_flag is None
    assert found.lease_left_ms is not None
    assert found.heat is not None
    assert found.heat.reads == pytest.approx(2, abs=0.1)
    assert [who for who, _ in hottest] == [VAULT, OTHER]
    assert {key: await client.dump(key) for key in await client.keys("*")} == before
