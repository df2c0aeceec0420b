"""What the tasks do, over the real wrapper and the in-memory cache, with a scripted node."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from cache.memory import MemoryBalanceCache
from domain.errors import (
    InvalidAddressError,
    InvalidValueError,
    MalformedAnswerError,
    NodeUnreachableError,
    ProviderError,
)
from domain.networks import Network
from domain.ports import Lease
from domain.values import Address, Balance, BlockHeight, Fresh, Lane, Snapshot, Stale
from provider.cached import CachedProvider
from tasks import operations

NETWORK = Network(0, "testnet", ("http://127.0.0.1:1/v1/graphql",))


def address(number: int) -> Address:
    return f"0x{number:064x}"


@dataclass
class ScriptedNode:
    """A node that counts, and fails for whom it is told to."""

    height: BlockHeight = 10
    failures: dict[Address, ProviderError] = field(default_factory=dict)
    calls: list[tuple[Address, ...]] = field(default_factory=list)
    heights: list[BlockHeight] = field(default_factory=list)

    async def fetch_many(
        self,
        addresses: Sequence[Address],
        *,
        required_height: BlockHeight = 0,
        lane: Lane = Lane.READ,  # noqa: ARG002 - the protocol's
        deadline_seconds: float | None = None,  # noqa: ARG002 - the protocol's
    ) -> Mapping[Address, Snapshot | ProviderError]:
        self.calls.append(tuple(addresses))
        self.heights.append(required_height)
        balances = (Balance("0x" + "a" * 64, 5),)
        return {
            a: self.failures.get(a)
            or Snapshot(a, NETWORK.chain_id, balances, max(required_height, self.height), None)
            for a in addresses
        }


@dataclass
class Desk:
    """A node, a cache, and the wrapper that joins them."""

    node: ScriptedNode
    cache: MemoryBalanceCache
    reader: CachedProvider

    async def states(self, *addresses: Address) -> list[type]:
        answers = await self.cache.read(NETWORK.chain_id, addresses)
        return [type(answers[a]) for a in addresses]

    async def node_was_left_alone(self, waiting: asyncio.Task[operations.RefillReport]) -> None:
        """Let the other task run until it can only wait."""
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        assert self.node.calls == []


@pytest.fixture
def desk() -> Desk:
    node, cache = ScriptedNode(), MemoryBalanceCache(chain_ids=(0, 9889))
    return Desk(node, cache, CachedProvider(NETWORK, node, cache))


async def plan(
    desk: Desk, *logins: range, at_once: int = 20, skip_fresh: bool = True
) -> operations.WarmUpPlan:
    (planned,) = await operations.plan_warm_up(
        desk.cache,
        wanted=[[address(n) for n in numbers] for numbers in logins],
        chain_ids=(0,),
        at_once=at_once,
        skip_fresh=skip_fresh,
    )
    return planned


async def test_a_login_takes_the_newest_vaults_at_once_and_the_others_later(desk: Desk) -> None:
    planned = await plan(desk, range(5), at_once=3)

    assert planned.now == (address(0), address(1), address(2))
    assert planned.later == (address(3), address(4))


async def test_a_login_leaves_out_what_is_fresh(desk: Desk) -> None:
    await desk.reader.refill([address(1)], lane=Lane.READ)
    planned = await plan(desk, range(3))

    assert planned.now == (address(0), address(2))


async def test_a_login_takes_what_is_fresh_too_where_that_is_configured(desk: Desk) -> None:
    await desk.reader.refill([address(1)], lane=Lane.READ)

    assert (await plan(desk, range(2), skip_fresh=False)).now == (address(0), address(1))


async def test_logins_that_come_together_take_each_vault_once_and_each_has_its_newest_at_once(
    desk: Desk,
) -> None:
    planned = await plan(desk, range(4), range(3, 6), at_once=2)

    assert planned.now == tuple(map(address, (0, 1, 3, 4)))
    assert planned.later == tuple(map(address, (2, 5)))


async def test_warming_fetches_only_what_is_not_fresh_in_one_call(desk: Desk) -> None:
    wanted = [address(n) for n in range(4)]
    await desk.reader.refill(wanted[:1], lane=Lane.READ)
    desk.node.calls.clear()
    report = await operations.warm(
        desk.reader, desk.cache, wanted, lane=Lane.WARMUP, skip_fresh=True
    )

    assert desk.node.calls == [tuple(wanted[1:])]
    assert (set(report.done), report.already) == (set(wanted[1:]), (wanted[0],))


async def test_a_failure_of_one_vault_leaves_the_others_warm(desk: Desk) -> None:
    desk.node.failures = {
        address(1): NodeUnreachableError("no answer"),
        address(2): MalformedAnswerError("nonsense"),
    }
    report = await operations.warm(
        desk.reader,
        desk.cache,
        [address(n) for n in range(3)],
        lane=Lane.WARMUP,
        skip_fresh=True,
    )

    assert report.done == (address(0),)
    assert report.remaining == (address(1),)
    assert report.given_up == (address(2),)


async def test_an_invalidated_vault_is_stale_until_it_is_refilled_at_the_height(
    desk: Desk,
) -> None:
    who = address(1)
    await desk.reader.refill([who], lane=Lane.READ)
    await operations.invalidate(desk.cache, [who], chain_id=0, block_height=50)
    between = await desk.states(who)
    report = await operations.refill_invalidated(desk.reader, desk.cache, [who], block_height=50)

    assert between == [Stale]
    assert report.done == (who,)
    assert desk.node.heights[-1] == 50
    assert await desk.states(who) == [Fresh]


async def test_a_refill_that_fails_stays_to_be_done_and_keeps_the_vault_stale(desk: Desk) -> None:
    who = address(1)
    await desk.reader.refill([who], lane=Lane.READ)
    await operations.invalidate(desk.cache, [who], chain_id=0, block_height=50)
    desk.node.failures = {who: NodeUnreachableError("no answer")}
    report = await operations.refill_invalidated(desk.reader, desk.cache, [who], block_height=50)

    assert report.remaining == (who,)
    assert report.reason == "no answer"
    assert await desk.states(who) == [Stale]


async def test_a_refill_takes_over_when_somebody_elses_fetch_ends_without_a_result(
    desk: Desk,
) -> None:
    who = address(1)
    await operations.invalidate(desk.cache, [who], chain_id=0, block_height=50)
    lease = (await desk.cache.acquire(0, [who]))[who]
    assert isinstance(lease, Lease)
    refilling = asyncio.create_task(
        operations.refill_invalidated(desk.reader, desk.cache, [who], block_height=50)
    )
    await desk.node_was_left_alone(refilling)
    await desk.cache.release([lease])
    report = await refilling

    assert report.done == (who,)
    assert await desk.states(who) == [Fresh]


async def test_heights_without_a_chain_are_refused(desk: Desk) -> None:
    with pytest.raises(InvalidValueError, match="chain_id"):
        await operations.invalidate(desk.cache, [address(1)], chain_id=None, block_height=5)


@pytest.mark.parametrize("raw", ["0x" + "1" * 64, [], None, [1], {"a": 1}])
def test_addresses_are_a_list_of_texts(raw: object) -> None:
    with pytest.raises(InvalidValueError, match="addresses must"):
        operations.parse_addresses(raw)


def test_addresses_come_in_one_form_and_once() -> None:
    text = "0x" + "Ab" * 32

    assert operations.parse_addresses([text.lower(), text.lower()]) == (text.lower(),)
    with pytest.raises(InvalidAddressError, match="0xzz"):
        operations.parse_addresses([text.lower(), "0xzz"])


@pytest.mark.parametrize("raw", [True, "9889", 1.0, None, -1, 2**64])
def test_a_chain_id_is_a_whole_number_in_range(raw: object) -> None:
    with pytest.raises(InvalidValueError):
        operations.parse_chain_id(raw)


def test_chain_id_0_is_a_chain_and_no_height_is_no_height() -> None:
    assert operations.parse_chain_id(0) == 0
    assert operations.parse_block_height(None) is None
    assert operations.parse_block_height(0) == 0


async def test_companions_ride_in_the_same_request_and_are_not_waited_for(desk: Desk) -> None:
    await operations.invalidate(desk.cache, [address(1), address(2)], chain_id=0, block_height=50)
    desk.node.failures = {address(2): NodeUnreachableError("no answer")}
    report = await operations.refill_invalidated(
        desk.reader, desk.cache, [address(1)], block_height=50, companions=[address(2)]
    )

    assert desk.node.calls == [(address(1), address(2))]
    assert (report.done, report.remaining) == ((address(1),), ())
