"""A chain that was begun anew is doubted, believed after a while, and swept."""

from __future__ import annotations

from pathlib import Path

from domain.values import Address, Fresh, Missing
from tasks.following import Follower
from tests.follow_support import CHAIN_ID, Desk, settle
from tests.provider_support import until


async def forgotten(at: Desk, follower: Follower, vault: Address) -> None:
    """Step until the follower believes that the chain is another, and has swept."""

    async def gone() -> bool:
        await follower.step()
        return isinstance(await at.answer(vault), Missing)

    await until(gone)
    await settle(follower)


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
