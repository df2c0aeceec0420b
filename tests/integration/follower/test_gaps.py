"""A follower who was away reads a gap in few requests; too large a one makes everything wrong."""

from __future__ import annotations

from cache.cursor import SweepKind
from provider.block_queries import BLOCKS_PER_REQUEST
from tasks.following import NEAR_BLOCKS, OVERLAP_BLOCKS, Follower
from tests.follow_support import CHAIN_ID, LIMITS, Desk, begun, settle


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


async def test_a_deposit_of_l1_is_refilled_also_when_the_blocks_have_overtaken_its_walk(
    at: Desk, follower: Follower
) -> None:
    vault = at.vaults[0]
    await at.warm(vault)
    at.node.chain.deposit(vault, 9)
    at.node.chain.produce_blocks(NEAR_BLOCKS + 2 * BLOCKS_PER_REQUEST)
    await settle(follower)

    assert [asked for asked, _ in at.refills] == [(vault,)]
