"""One follows; whoever comes after him, or after a loss of Redis, misses nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from cache.cursor import FollowerState
from devnet.chain import Payment
from devnet.options import BASE_ASSET_ID
from domain.blocks import BlockMark
from provider.block_queries import BLOCKS_PER_REQUEST
from tasks.following import Follower
from tasks.following_state import LeaseLostError
from tests.follow_support import CHAIN_ID, Desk, KilledError, begun, settle
from tests.provider_support import until


async def test_a_follower_who_was_killed_is_followed_by_one_who_misses_nothing(
    at: Desk, follower: Follower
) -> None:
    vault = at.vaults[0]
    await at.warm(vault)
    at.pay(vault, 7)
    await at.redis.hdel(f"bc:follow:{{{CHAIN_ID}}}", "token")
    await begun(at)

    assert await at.amount(vault) == 7


@pytest.mark.parametrize("by_l1", [False, True])
async def test_a_follower_who_was_killed_before_he_asked_for_a_refill_leaves_it_to_the_next(
    at: Desk, by_l1: bool
) -> None:
    vault = at.vaults[0]
    await at.warm(vault)
    doomed = await begun(at, at.follower(dies=True))
    if by_l1:
        at.node.chain.deposit(vault, 7)
    else:
        at.node.chain.submit(at.node.chain.prepare(Payment(None, vault, BASE_ASSET_ID, 7)))
    height = at.node.chain.produce_blocks(1)
    with pytest.raises(KilledError):
        await settle(doomed)
    assert not await at.fresh(vault)
    await at.redis.hdel(f"bc:follow:{{{CHAIN_ID}}}", "token")  # the lease of the dead is over
    next_one = await begun(at)
    await settle(next_one)

    assert at.refills == [((vault,), height)]
    assert await at.owed() == {}


async def test_one_follows_and_a_second_one_does_not(at: Desk, follower: Follower) -> None:
    assert not await at.follower().begin()


async def test_a_follower_who_was_held_up_cannot_move_the_cursor_any_more(
    at: Desk, follower: Follower
) -> None:
    await at.redis.hset(f"bc:follow:{{{CHAIN_ID}}}", mapping={"token": "another"})
    at.node.chain.produce_blocks(1)

    with pytest.raises(LeaseLostError):
        await settle(follower)


async def test_a_redis_that_lost_everything_is_gone_on_with_from_the_database(
    at: Desk, follower: Follower
) -> None:
    before = (await at.runtime.followed(CHAIN_ID).cursors.status(CHAIN_ID)).state.cursor
    assert before is not None
    await at.redis.flushall()
    at.node.chain.produce_blocks(40)
    again = at.follower()
    assert await again.begin()
    await again.step()

    found = (await at.runtime.followed(CHAIN_ID).cursors.status(CHAIN_ID)).state.cursor
    assert found is not None
    assert found.height <= before.height + BLOCKS_PER_REQUEST


async def test_a_database_that_is_away_does_not_hold_up_what_is_cached(
    at: Desk, follower: Follower
) -> None:
    vault = at.vaults[0]
    await at.warm(vault)
    await _drop_tables(at)
    at.pay(vault, 7)
    await settle(follower)

    assert await at.amount(vault) == 7


async def _drop_tables(at: Desk) -> None:
    path = at.runtime.settings.database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        for table in ("predicate_members", "predicates", "balance_cache_follower"):
            connection.execute(f"DROP TABLE {table}")


async def test_a_state_that_cannot_be_read_is_none(at: Desk) -> None:
    cursors = at.runtime.followed(CHAIN_ID).cursors
    for damaged in ("", "{", "[]", '{"cursor":5}', '{"cursor":[1]}'):
        await at.redis.hset(f"bc:follow:{{{CHAIN_ID}}}", mapping={"state": damaged})
        assert (await cursors.status(CHAIN_ID)).state == FollowerState()


async def test_the_status_tells_people_how_far_it_is(at: Desk, follower: Follower) -> None:
    status = await at.runtime.followed(CHAIN_ID).cursors.status(CHAIN_ID)

    assert status.active
    assert status.tip == 30
    assert status.state.cursor == BlockMark(30, at.node.chain.blocks[30].block_id)
    assert status.seen_at_ms is not None


async def test_a_run_ends_when_it_is_cancelled_and_gives_its_lease_back(at: Desk) -> None:
    vault = at.vaults[0]
    await at.warm(vault)
    running = asyncio.ensure_future(at.follower().run())
    cursors = at.runtime.followed(CHAIN_ID).cursors

    async def stands() -> bool:
        return (await cursors.status(CHAIN_ID)).state.cursor is not None

    async def noticed() -> bool:
        return not await at.fresh(vault)

    await until(stands)
    at.pay(vault, 7)
    await until(noticed)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert not (await cursors.status(CHAIN_ID)).active
