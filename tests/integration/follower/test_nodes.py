"""Nodes that lag, are of another chain, take less, or have no block yet."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from devnet.faults import Fault, FaultKind
from devnet.options import DevnetOptions, Limits
from devnet.server import DevnetServer
from domain.errors import ProviderError
from supervisor.valkey import EmbeddedServer
from tasks.following import Follower
from tests.follow_support import CHAIN_ID, LIMITS, Desk, begun, desk, settle


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
    tmp_path: Path, module_server: EmbeddedServer
) -> None:
    limits = Limits(complexity=20_000)
    node = DevnetServer(DevnetOptions(port=0, block_seconds=0, limits=limits)).start()
    async with desk(tmp_path, module_server, node) as at:
        at.node.chain.produce_blocks(30)
        follower = await begun(at)
        await at.warm(at.vaults[0])
        at.pay(at.vaults[0], 7)
        at.node.chain.produce_blocks(10)
        await settle(follower)

        assert await at.amount(at.vaults[0]) == 7


async def test_a_chain_of_one_block_is_waited_for(
    tmp_path: Path, module_server: EmbeddedServer
) -> None:
    async with desk(tmp_path, module_server) as at:
        follower = at.follower()
        assert await follower.begin()
        assert await follower.step()
        at.node.chain.produce_blocks(1)
        assert await follower.step()
        await at.warm(at.vaults[0])
        at.pay(at.vaults[0], 2)
        await settle(follower)
        assert await at.amount(at.vaults[0]) == 2


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
