"""Whom a block concerns is found in it, and nobody else pays for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from devnet.options import BASE_ASSET_ID, DevnetOptions
from devnet.server import DevnetServer
from domain.ports import Lease, PublishOutcome
from domain.values import Snapshot, Stale
from supervisor.valkey import EmbeddedServer
from tasks.following import OVERLAP_BLOCKS, Follower
from tests.follow_support import CHAIN_ID, LIMITS, Desk, begun, desk, settle

STRANGER = "0x" + "7e" * 32


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
    tmp_path: Path, module_server: EmbeddedServer
) -> None:
    node = DevnetServer(DevnetOptions(port=0, block_seconds=0, indexation=False)).start()
    async with desk(tmp_path, module_server, node) as at:
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
