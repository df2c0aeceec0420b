"""The follower of the chain on a real cache and database, against a simulated node."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cache.cursor import FollowerState, SweepKind
from devnet.chain import Payment
from devnet.faults import Fault, FaultKind
from devnet.options import BASE_ASSET_ID, DevnetOptions, Limits
from devnet.server import DevnetServer
from domain.blocks import BlockMark
from domain.errors import ProviderError
from domain.ports import Lease, PublishOutcome
from domain.values import Address, Fresh, Missing, Snapshot, Stale
from provider.block_queries import BLOCKS_PER_REQUEST
from supervisor.valkey import EmbeddedServer
from tasks.following import NEAR_BLOCKS, OVERLAP_BLOCKS, Follower
from tasks.following_state import LeaseLostError
from tests.follow_support import CHAIN_ID, LIMITS, Desk, KilledError, desk, settle
from tests.provider_support import until

STRANGER = "0x" + "7e" * 32


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    server = EmbeddedServer.start()
    yield server
    server.stop()


@pytest.fixture
async def at(tmp_path: Path, server: EmbeddedServer) -> AsyncIterator[Desk]:
    async with desk(tmp_path, server) as at:
        at.node.chain.produce_blocks(30)
        yield at


@pytest.fixture
async def follower(at: Desk) -> Follower:
    """A follower who stands at the tip."""
    return await begun(at)


async def begun(at: Desk, follower: Follower | None = None) -> Follower:
    found = follower or at.follower()
    assert await found.begin()
    await settle(found)
    return found


async def test_a_deposit_that_nobody_announced_is_found_in_its_block(
    at: Desk, follower: Follower
) -> None:
    vault, other = at.vaults[:2]
    await at.warm(vault, other)
    height = at.pay(vault, 7)
    await settle(follower)

    assert isinstance(await at.answer(vault), Stale)
    assert await at.fresh(other)
    assert at.refills == [((vault,), height)]
    assert await at.amount(vault) == 7


async def test_a_spender_and_a_failed_payment_are_found_too(at: Desk, follower: Follower) -> None:
    payer, payee, unlucky = at.vaults[:3]
    at.pay(payer, 100)
    await settle(follower)
    await at.warm(payer, payee, unlucky)
    at.node.chain.transfer(payer, payee, BASE_ASSET_ID, 40)
    at.node.chain.transfer(payer, unlucky, BASE_ASSET_ID, 20, failure="Revert(0)")
    await settle(follower)

    assert await at.amount(payer) == 40
    assert await at.amount(payee) == 40
    assert await at.amount(unlucky) == 20


async def test_a_deposit_of_l1_is_found_although_no_transaction_tells_of_it(
    at: Desk, follower: Follower
) -> None:
    vault, other = at.vaults[:2]
    await at.warm(vault, other)
    at.node.chain.deposit(vault, 9)
    height = at.node.chain.produce_blocks(1)
    await settle(follower)

    assert at.refills == [((vault,), height)]
    assert await at.fresh(other)
    assert await at.amount(vault) == 9


@pytest.mark.parametrize("gap", [False, True])
async def test_a_fetch_from_before_a_walk_is_not_published_behind_it(
    at: Desk, follower: Follower, gap: bool
) -> None:
    """It holds nothing yet when the walk comes by: only the height of the walk can stop it."""
    vault, cache = at.vaults[0], at.runtime.cache
    lease = (await cache.acquire(CHAIN_ID, [vault]))[vault]
    assert isinstance(lease, Lease)
    height = at.node.chain.height
    old = Snapshot(vault, CHAIN_ID, (), height, height, at.node.url)
    at.node.chain.deposit(vault, 9)
    at.node.chain.produce_blocks(LIMITS.max_gap + 2 * OVERLAP_BLOCKS if gap else 1)
    await settle(follower)

    assert await cache.publish([(lease, old)]) == {vault: PublishOutcome.BELOW_MINIMUM}
    assert await at.amount(vault) == 9


async def test_many_vaults_are_compared_in_few_requests(at: Desk) -> None:
    rich = at.vaults[0]
    at.pay(rich, 9)
    owners = [*[f"0x{number:064x}" for number in range(1, 2_500)], rich]
    told = await at.runtime.followed(CHAIN_ID).reader.base_amounts(owners, 0)

    assert told is not None
    assert {owner: amount for owner, amount in told[1].items() if amount} == {rich: 9}
    assert len(told[1]) == len(owners)
    assert at.node.devnet.log.counts()["byOperation"]["Amounts"] == 3


async def test_without_an_index_an_event_of_l1_makes_everything_wrong(
    tmp_path: Path, server: EmbeddedServer
) -> None:
    node = DevnetServer(DevnetOptions(port=0, block_seconds=0, indexation=False)).start()
    async with desk(tmp_path, server, node) as at:
        at.node.chain.produce_blocks(3)
        follower = await begun(at)
        await at.warm(*at.vaults)
        at.node.chain.deposit(at.vaults[0], 9)
        at.node.chain.produce_blocks(1)
        await settle(follower)

        assert [await at.fresh(vault) for vault in at.vaults] == [False] * 10


async def test_strangers_cost_nothing(at: Desk, follower: Follower) -> None:
    at.pay(STRANGER)
    await settle(follower)

    assert at.refills == []
    assert await at.redis.keys(f"*{STRANGER}*") == []


async def test_whoever_is_cached_is_ours_also_when_the_registry_does_not_know_him(
    at: Desk, follower: Follower
) -> None:
    await at.warm(STRANGER)
    at.pay(STRANGER, 3)
    await settle(follower)

    assert await at.amount(STRANGER) == 3


async def test_a_vault_that_nothing_is_cached_of_gets_its_minimum_height(
    at: Desk, follower: Follower
) -> None:
    vault = at.vaults[0]
    height = at.pay(vault, 7)
    await settle(follower)

    state = await at.redis.hgetall(f"bc:state:{vault}:{CHAIN_ID}")
    assert state[b"minimum"] == str(height).encode()


async def test_what_was_refilled_at_the_blocks_height_already_stays_fresh(
    at: Desk, follower: Follower
) -> None:
    vault = at.vaults[0]
    height = at.pay(vault, 7)
    await at.runtime.cache.invalidate([vault], CHAIN_ID, height)
    await at.warm(vault)
    await settle(follower)

    assert await at.fresh(vault)
    assert at.refills == []


async def test_a_gap_is_read_in_few_requests_and_refills_nothing_far_from_the_tip(
    at: Desk, follower: Follower
) -> None:
    vault, recent = at.vaults[:2]
    await at.warm(vault, recent)
    at.pay(vault, 7)
    at.node.chain.produce_blocks(80)
    height = at.pay(recent, 5)
    before = at.node.devnet.log.counts()["byOperation"]["NewBlocks"]
    await settle(follower)

    asked = at.node.devnet.log.counts()["byOperation"]["NewBlocks"] - before
    assert asked == -(-82 // BLOCKS_PER_REQUEST)
    assert [addresses for addresses, _ in at.refills] == [(recent,)]
    assert at.refills[0][1] == height
    assert await at.amount(vault) == 7


async def test_too_large_a_gap_makes_everything_wrong_and_asks_no_node_for_it(
    at: Desk, follower: Follower
) -> None:
    await at.warm(*at.vaults)
    at.pay(at.vaults[0], 7)
    at.node.chain.produce_blocks(LIMITS.max_gap + OVERLAP_BLOCKS + 1)
    before = at.node.devnet.log.counts()["byOperation"]["Balances"]
    await settle(follower)

    assert [await at.fresh(vault) for vault in at.vaults] == [False] * 10
    assert at.node.devnet.log.counts()["byOperation"]["Balances"] == before
    assert await at.amount(at.vaults[0]) == 7


async def test_hot_vaults_are_due_after_too_large_a_gap(at: Desk, follower: Follower) -> None:
    hot = at.vaults[0]
    await at.warm(*at.vaults)
    await at.runtime.cache.mark_read(CHAIN_ID, [hot])
    assert hot not in await at.runtime.cache.due(CHAIN_ID, 100)
    at.node.chain.produce_blocks(LIMITS.max_gap + 1)
    await settle(follower)

    assert hot in await at.runtime.cache.due(CHAIN_ID, 100)


async def test_a_sweep_goes_on_where_its_follower_was_killed(at: Desk, follower: Follower) -> None:
    await at.warm(*at.vaults)
    at.node.chain.produce_blocks(LIMITS.max_gap + 1)
    assert not await follower.step()  # the jump alone
    kept = (await at.runtime.followed(CHAIN_ID).cursors.status(CHAIN_ID)).state
    assert kept.sweep is not None
    assert kept.sweep.kind is SweepKind.GAP
    await at.redis.hdel(f"bc:follow:{{{CHAIN_ID}}}", "token")  # the lease of the dead is over
    await begun(at)

    assert [await at.fresh(vault) for vault in at.vaults] == [False] * 10


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


async def test_a_deposit_of_l1_is_refilled_also_when_the_blocks_have_overtaken_its_walk(
    at: Desk, follower: Follower
) -> None:
    vault = at.vaults[0]
    await at.warm(vault)
    at.node.chain.deposit(vault, 9)
    at.node.chain.produce_blocks(NEAR_BLOCKS + 2 * BLOCKS_PER_REQUEST)
    await settle(follower)

    assert [asked for asked, _ in at.refills] == [(vault,)]


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


async def forgotten(at: Desk, follower: Follower, vault: Address) -> None:
    """Step until the follower believes that the chain is another, and has swept."""

    async def gone() -> bool:
        await follower.step()
        return isinstance(await at.answer(vault), Missing)

    await until(gone)
    await settle(follower)


async def _drop_tables(at: Desk) -> None:
    path = at.runtime.settings.database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        for table in ("predicate_members", "predicates", "balance_cache_follower"):
            connection.execute(f"DROP TABLE {table}")


async def test_a_lagging_node_is_waited_for(at: Desk, follower: Follower) -> None:
    await at.warm(at.vaults[0])
    at.node.devnet.nodes.nodes[0].lag = 5
    asked = at.node.devnet.log.counts()["total"]
    begun_at = time.monotonic()
    while time.monotonic() - begun_at < 2 * LIMITS.restart_seconds:
        await settle(follower)

    assert at.node.devnet.log.counts()["total"] > asked
    assert await at.fresh(at.vaults[0])
    at.node.devnet.nodes.nodes[0].lag = 0
    at.pay(at.vaults[0], 3)
    await settle(follower)
    assert await at.amount(at.vaults[0]) == 3


async def test_a_chain_that_was_begun_anew_is_believed_after_a_while_and_its_heights_forgotten(
    at: Desk, tmp_path: Path, follower: Follower
) -> None:
    vault = at.vaults[0]
    await at.warm(vault)
    await at.runtime.cache.invalidate([vault], CHAIN_ID, 30)
    await at.runtime.cache.require(CHAIN_ID, 30)
    await at.warm(vault)
    _begin_anew(at)
    at.node.chain.produce_blocks(5)

    await follower.step()
    assert isinstance(await at.answer(vault), Fresh)  # not believed at once
    await forgotten(at, follower, vault)

    state = await at.redis.hgetall(f"bc:state:{vault}:{CHAIN_ID}")
    assert b"minimum" not in state
    assert b"upper" not in state
    fetched = await at.fetch_from_a_new_process(vault)
    assert fetched == 0
    at.pay(vault, 3)
    await settle(follower)
    assert await at.fetch_from_a_new_process(vault) == 3


async def test_another_chain_that_has_grown_past_the_cursor_is_noticed(
    at: Desk, follower: Follower
) -> None:
    await at.warm(*at.vaults)
    _begin_anew(at)
    at.node.chain.produce_blocks(50)

    await forgotten(at, follower, at.vaults[0])


async def test_refills_that_a_chain_owed_are_forgotten_with_it(
    at: Desk, follower: Follower
) -> None:
    vault, other = at.vaults[:2]
    await at.warm(vault)
    at.broker_is_there = False
    at.pay(vault)
    await settle(follower)
    assert list(await at.owed()) == [vault]
    _begin_anew(at)
    at.node.chain.produce_blocks(5)
    await forgotten(at, follower, vault)
    at.broker_is_there = True
    height = at.pay(other)
    await settle(follower)

    # Neither it nor its height, which the new chain will not reach for long.
    assert at.refills == [((other,), height)]


async def test_a_doubt_ends_with_the_first_answer_of_the_right_chain(
    at: Desk, follower: Follower
) -> None:
    await at.warm(at.vaults[0])
    right = at.node.chain.blocks
    _begin_anew(at)
    at.node.chain.produce_blocks(50)
    await follower.step()
    at.node.chain.blocks = right
    await follower.step()

    state = (await at.runtime.followed(CHAIN_ID).cursors.status(CHAIN_ID)).state
    assert state.doubted_at_ms is None
    assert await at.fresh(at.vaults[0])


def _begin_anew(at: Desk) -> None:
    """Let the node's chain be another one: the same first block, other ones after it."""
    chain = at.node.chain
    chain.blocks = chain.blocks[:1]
    chain.ledger = type(chain.ledger)(chain.base_asset_id)


async def test_a_node_of_another_chain_id_changes_nothing(at: Desk, follower: Follower) -> None:
    await at.warm(at.vaults[0])
    at.node.devnet.faults.add(Fault(FaultKind.WRONG_CHAIN_ID, parameters={"chainId": 5}))
    fresh_reader = at.runtime.followed(CHAIN_ID).reader
    for endpoint in fresh_reader._pool.endpoints:
        endpoint.profile = None
    with pytest.raises(ProviderError):
        await follower.step()

    assert await at.fresh(at.vaults[0])


async def test_a_node_that_takes_less_is_asked_for_fewer_blocks(
    tmp_path: Path, server: EmbeddedServer
) -> None:
    limits = Limits(complexity=20_000)
    node = DevnetServer(DevnetOptions(port=0, block_seconds=0, limits=limits)).start()
    async with desk(tmp_path, server, node) as at:
        at.node.chain.produce_blocks(30)
        follower = await begun(at)
        await at.warm(at.vaults[0])
        at.pay(at.vaults[0], 7)
        at.node.chain.produce_blocks(10)
        await settle(follower)

        assert await at.amount(at.vaults[0]) == 7


async def test_a_chain_of_one_block_is_waited_for(tmp_path: Path, server: EmbeddedServer) -> None:
    async with desk(tmp_path, server) as at:
        follower = at.follower()
        assert await follower.begin()
        assert await follower.step()
        at.node.chain.produce_blocks(1)
        assert await follower.step()
        await at.warm(at.vaults[0])
        at.pay(at.vaults[0], 2)
        await settle(follower)
        assert await at.amount(at.vaults[0]) == 2


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


async def test_a_follower_at_the_tip_is_answered_when_the_next_block_is_there(
    at: Desk, follower: Follower
) -> None:
    vault = at.vaults[0]
    await at.warm(vault)
    asked = at.node.devnet.log.counts()["total"]
    waiting = asyncio.ensure_future(follower.step(wait_seconds=20))
    await asyncio.sleep(0)
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not done
    at.pay(vault, 4)
    async with asyncio.timeout(5):
        assert await waiting

    assert at.node.devnet.log.counts()["total"] == asked + 1
    assert await at.amount(vault) == 4


async def test_a_node_that_has_no_block_in_time_is_well(at: Desk, follower: Follower) -> None:
    for _ in range(8):
        assert await follower.step(wait_seconds=0.02)

    assert not at.runtime.followed(CHAIN_ID).reader._pool.endpoints[0].breaker.is_open


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
