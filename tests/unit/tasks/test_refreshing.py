"""One refresh run over the real wrapper, the in-memory cache and a scripted node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from cache.memory import MemoryBalanceCache
from domain.errors import MalformedAnswerError, NodeUnreachableError, ProviderError
from domain.networks import Network
from domain.refreshing import RefreshRules
from domain.values import Address, Balance, BlockHeight, Fresh, Lane, Snapshot
from provider.cached import CachedProvider
from tasks.operations import RefillReport
from tasks.refreshing import refresh_worthiest
from tests.cache_support import ALICE, BOB, REFRESH_RULES, ManualClock, address

NETWORK = Network(0, "testnet", ("http://127.0.0.1:1/v1/graphql",))


@dataclass
class ScriptedNode:
    """A node whose vaults hold what it is told, and that fails for whom it is told to."""

    amounts: dict[Address, int] = field(default_factory=dict)
    failures: dict[Address, ProviderError] = field(default_factory=dict)
    calls: list[tuple[Address, ...]] = field(default_factory=list)
    lanes: set[Lane] = field(default_factory=set)

    async def fetch_many(
        self,
        addresses: Sequence[Address],
        *,
        required_height: BlockHeight = 0,  # noqa: ARG002 - the protocol's
        lane: Lane = Lane.READ,
        deadline_seconds: float | None = None,  # noqa: ARG002 - the protocol's
    ) -> Mapping[Address, Snapshot | ProviderError]:
        self.calls.append(tuple(addresses))
        self.lanes.add(lane)
        return {a: self.failures.get(a) or self._snapshot(a) for a in addresses}

    def _snapshot(self, who: Address) -> Snapshot:
        return Snapshot(who, 0, (Balance("0x" + "a" * 64, self.amounts.get(who, 1)),), 10)


class Desk:
    """A clock, a node, a cache, and the wrapper that joins them."""

    def __init__(self) -> None:
        self.clock, self.node = ManualClock(), ScriptedNode()
        self.cache = MemoryBalanceCache(
            self.clock, chain_ids=(0,), refresh_ahead_seconds=60, hot_life_seconds=3600
        )
        self.reader = CachedProvider(NETWORK, self.node, self.cache)

    async def run(self, rules: RefreshRules = REFRESH_RULES) -> RefillReport:
        return await refresh_worthiest(self.cache.schedule, self.reader, rules)

    async def run_for(self, seconds: float, rules: RefreshRules = REFRESH_RULES) -> int:
        """Let beat come round for so long; returns how many calls the node got."""
        before = len(self.node.calls)
        for _ in range(int(seconds / 10)):
            self.clock.step(10)
            await self.run(rules)
        return len(self.node.calls) - before

    async def is_fresh(self, who: Address) -> bool:
        return isinstance((await self.cache.read(0, [who]))[who], Fresh)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_only_vaults_that_somebody_reads_are_refreshed(desk: Desk) -> None:
    assert await desk.run() == RefillReport()
    await desk.cache.mark_read(0, [ALICE])

    report = await desk.run()

    assert report.done == (ALICE,)
    assert desk.node.lanes == {Lane.REFRESH}
    assert await desk.run() == RefillReport()


async def test_a_vault_that_is_read_stays_fresh_without_a_reader_that_waits(desk: Desk) -> None:
    await desk.cache.mark_read(0, [ALICE])
    await desk.run()
    for _ in range(300):
        await desk.run_for(10)
        assert await desk.is_fresh(ALICE)

    assert len(desk.node.calls) <= 3000 / 480 + 3


async def test_a_vault_that_nobody_reads_any_more_falls_out(desk: Desk) -> None:
    await desk.cache.mark_read(0, [ALICE])
    await desk.run_for(3_600)

    assert await desk.run_for(7_200) == 0


async def test_a_vault_that_changes_is_looked_at_more_often_than_one_that_does_not(
    desk: Desk,
) -> None:
    alone = replace(REFRESH_RULES, batch_size=1, calls_per_minute=600, ahead_seconds=0.001)
    for turn in range(360):
        await desk.cache.mark_read(0, [ALICE, BOB])
        desk.node.amounts[ALICE] = turn // 6  # a change a minute
        await desk.run_for(10, alone)

    asked = [who for call in desk.node.calls for who in call]
    assert asked.count(ALICE) > 2 * asked.count(BOB) > 0


async def test_the_budget_is_kept_however_many_are_due(desk: Desk) -> None:
    scarce = replace(REFRESH_RULES, calls_per_minute=3)
    crowd = [address(n) for n in range(100, 400)]
    calls = 0
    for _ in range(60):
        await desk.cache.mark_read(0, crowd)
        calls += await desk.run_for(10, scarce)

    assert 25 <= calls <= 10 * 3 + 1


async def test_a_vault_that_fails_is_tried_again_and_holds_nobody_up(desk: Desk) -> None:
    desk.node.failures[ALICE] = NodeUnreachableError("no answer")
    await desk.cache.mark_read(0, [ALICE, BOB])

    report = await desk.run()
    desk.node.failures.clear()
    await desk.run_for(60)

    assert (report.done, report.remaining) == ((BOB,), (ALICE,))
    assert await desk.is_fresh(ALICE)


async def test_a_vault_that_the_node_refuses_for_good_is_left_alone_for_a_while(
    desk: Desk,
) -> None:
    desk.node.failures[ALICE] = MalformedAnswerError("not balances")
    await desk.cache.mark_read(0, [ALICE])

    report = await desk.run()

    assert report.given_up == (ALICE,)
    assert await desk.run_for(500) == 0


async def test_a_run_whose_node_calls_break_off_claims_nothing_for_ever(desk: Desk) -> None:
    await desk.cache.mark_read(0, [ALICE])
    await desk.cache.schedule.claim(0, REFRESH_RULES)  # a worker that died

    assert await desk.run() == RefillReport()
    await desk.run_for(40)
    assert await desk.is_fresh(ALICE)
