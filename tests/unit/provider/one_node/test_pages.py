"""Many vaults are few requests, and none is cut, however many assets it has."""

from __future__ import annotations

from typing import Any

import pytest

from domain.values import Balance, Snapshot
from provider.node import NodeProvider
from tests.fake_node import FakeNode, address, asset, owners_of, pages_of, rows, snapshots


async def test_ten_vaults_are_one_request(node: FakeNode, provider: NodeProvider) -> None:
    node.balances = {address(n): [(asset(1), n)] for n in range(10)}
    answers = await provider.fetch_many([address(n) for n in range(10)])
    assert len(node.requests) == 1
    for number in range(1, 10):
        answer = answers[address(number)]
        assert isinstance(answer, Snapshot)
        assert answer.balances == (Balance(asset(1), number),)


async def test_two_thousand_vaults_are_ten_requests_and_each_is_asked_once(
    node: FakeNode, provider: NodeProvider
) -> None:
    addresses = [address(n) for n in range(2000)]
    answers = await provider.fetch_many(addresses)
    assert list(answers) == addresses
    assert len(node.requests) == 10
    asked = [owner for body in node.requests for owner in owners_of(body)]
    assert sorted(asked) == addresses


async def test_zero_rows_are_left_out_and_the_order_of_the_node_is_kept(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.balances[address(1)] = [(asset(9), 2**100), (asset(1), 0), (asset(2), 5)]
    snapshot = await provider.get_balances(address(1))
    assert snapshot.balances == (Balance(asset(9), 2**100), Balance(asset(2), 5))


async def test_a_vault_that_holds_nothing_is_an_answer(provider: NodeProvider) -> None:
    assert (await provider.get_balances(address(7))).balances == ()


@pytest.mark.parametrize("count", [99, 100, 101, 1000, 1001, 19_999])
async def test_no_vault_is_cut_however_many_assets_it_has(
    node: FakeNode, provider: NodeProvider, count: int
) -> None:
    node.balances[address(1)] = rows(count)
    snapshot = await provider.get_balances(address(1))
    assert len(snapshot.balances) == count


async def test_a_wide_vault_beside_narrow_ones_is_asked_for_alone_again(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.balances = {address(1): rows(150), address(2): rows(3)}
    answers = await provider.fetch_many([address(1), address(2)])
    assert [owners_of(body) for body in node.requests] == [
        [address(1), address(2)],
        [address(1)],
    ]
    assert {key: len(answer.balances) for key, answer in snapshots(answers).items()} == {
        address(1): 150,
        address(2): 3,
    }


async def test_cursors_are_followed_where_the_node_allows_no_wider_page(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.complexity = 400
    node.balances[address(1)] = rows(250)
    snapshot = await provider.get_balances(address(1))
    assert [balance.amount for balance in snapshot.balances] == list(range(1, 251))
    afters = [after for body in node.requests for _, _, _, after in pages_of(body)]
    assert any(after is not None for after in afters)


async def test_pages_of_a_moving_chain_are_believed_when_two_passes_agree(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.complexity, node.blocks_per_request = 400, 1
    node.balances[address(1)] = rows(250)
    snapshot = await provider.get_balances(address(1))
    assert [balance.amount for balance in snapshot.balances] == list(range(1, 251))
    pages = [page for body in node.requests for page in pages_of(body)]
    starts = [page for page in pages if page[3] is None and page[2] == pages[-1][2]]
    assert len(starts) == 2
    assert snapshot.height_upper == node.height
    assert snapshot.height < (node.height or 0)


async def test_a_vault_that_changes_between_its_pages_is_never_put_together(
    node: FakeNode, provider: NodeProvider
) -> None:
    node.complexity, node.blocks_per_request = 400, 1
    node.balances[address(1)] = rows(250)
    moves = iter(range(1_000_000))

    def pay(_: dict[str, Any]) -> None:
        node.balances[address(1)] = [(a, amount + next(moves)) for a, amount in rows(250)]

    node.fault = pay
    answer: object = (await provider.fetch_many([address(1)]))[address(1)]
    assert isinstance(answer, Exception)
    assert "kept changing" in str(answer)
