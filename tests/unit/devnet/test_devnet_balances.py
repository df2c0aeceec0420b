"""The balance queries in both indexation modes."""

from __future__ import annotations

from typing import Any

import pytest

from devnet.chain import AccountBalance
from devnet.execution import GraphqlRequest
from devnet.options import BASE_ASSET_ID, DevnetOptions
from devnet.state import Devnet

OWNER, OTHER = "0x" + "aa" * 32, "0x" + "bb" * 32
LOW, HIGH = "0x" + "01" * 32, "0x" + "ff" * 32
FIELDS = "nodes{assetId amount amountU128 owner} pageInfo{hasNextPage endCursor}"


def ask(devnet: Devnet, query: str, **variables: Any) -> dict[str, Any]:
    request = GraphqlRequest(query, variables)
    return devnet.executor.execute(request, devnet.nodes.next().view())


def rows(devnet: Devnet, arguments: str = "first:100") -> list[tuple[str, str]]:
    query = f'{{balances(filter:{{owner:"{OWNER}"}},{arguments}){{{FIELDS}}}}}'
    nodes = ask(devnet, query)["data"]["balances"]["nodes"]
    return [(node["assetId"], node["amountU128"]) for node in nodes]


def devnet_with(*, indexation: bool, **amounts: int) -> Devnet:
    devnet = Devnet(DevnetOptions(indexation=indexation))
    assets = {"base": BASE_ASSET_ID, "low": LOW, "high": HIGH}
    devnet.chain.set_balances(
        [AccountBalance(OWNER, assets[name], amount) for name, amount in amounts.items()]
    )
    return devnet


def test_with_the_index_the_base_asset_comes_first() -> None:
    devnet = devnet_with(indexation=True, base=1, low=2, high=3)
    assert rows(devnet) == [(BASE_ASSET_ID, "1"), (LOW, "2"), (HIGH, "3")]
    assert rows(devnet, "last:100") == [(HIGH, "3"), (LOW, "2"), (BASE_ASSET_ID, "1")]


def test_without_the_index_assets_come_in_plain_order() -> None:
    devnet = devnet_with(indexation=False, base=1, low=2, high=3)
    assert rows(devnet) == [(LOW, "2"), (BASE_ASSET_ID, "1"), (HIGH, "3")]


def test_with_the_index_what_was_owned_once_stays_listed_but_not_the_base_asset() -> None:
    devnet = devnet_with(indexation=True, base=1, low=2)
    devnet.chain.transfer(OWNER, OTHER, LOW, 2)
    devnet.chain.transfer(OWNER, OTHER, BASE_ASSET_ID, 1)
    assert rows(devnet) == [(LOW, "0")]


def test_without_the_index_nothing_of_zero_is_listed() -> None:
    devnet = devnet_with(indexation=False, base=1, low=2)
    devnet.chain.transfer(OWNER, OTHER, LOW, 2)
    devnet.chain.transfer(OWNER, OTHER, BASE_ASSET_ID, 1)
    assert rows(devnet) == []


def test_pages_go_on_behind_the_base_asset() -> None:
    devnet = devnet_with(indexation=True, base=1, low=2, high=3)
    assert rows(devnet, "first:1") == [(BASE_ASSET_ID, "1")]
    assert rows(devnet, f'first:1,after:"{BASE_ASSET_ID}"') == [(LOW, "2")]
    assert rows(devnet, f'first:9,after:"{LOW}"') == [(HIGH, "3")]


def test_without_the_index_there_are_no_cursors() -> None:
    devnet = devnet_with(indexation=False, low=2)
    query = f'{{balances(filter:{{owner:"{OWNER}"}},first:1,after:"{LOW}"){{{FIELDS}}}}}'
    assert ask(devnet, query)["errors"][0]["message"] == (
        "Can not use pagination when balances indexation is not available"
    )


def test_amount_is_cut_off_at_a_u64_and_amount_u128_is_exact() -> None:
    devnet = devnet_with(indexation=True, low=2**100)
    query = f'{{balance(owner:"{OWNER}",assetId:"{LOW}"){{amount amountU128}}}}'
    assert ask(devnet, query)["data"]["balance"] == {
        "amount": str(2**64 - 1),
        "amountU128": str(2**100),
    }


@pytest.mark.parametrize("indexation", [True, False])
def test_an_unknown_owner_has_an_empty_page_and_a_balance_of_zero(indexation: bool) -> None:
    devnet = devnet_with(indexation=indexation)
    assert rows(devnet) == []
    query = f'{{balance(owner:"{OWNER}",assetId:"{LOW}"){{amountU128}}}}'
    assert ask(devnet, query)["data"] == {"balance": {"amountU128": "0"}}


def test_messages_count_as_base_asset_unless_they_carry_data() -> None:
    devnet = devnet_with(indexation=True, base=1)
    devnet.chain.deposit(OWNER, 10)
    devnet.chain.deposit(OWNER, 100, data="0xff")
    devnet.chain.produce_blocks()
    assert rows(devnet) == [(BASE_ASSET_ID, "11")]


def test_one_bad_alias_leaves_no_data_of_the_others() -> None:
    devnet = devnet_with(indexation=True, base=1)
    query = (
        f'{{good:balances(filter:{{owner:"{OWNER}"}},first:1){{{FIELDS}}} '
        f'bad:balances(filter:{{owner:"0x123"}},first:1){{{FIELDS}}}}}'
    )
    answer = ask(devnet, query)
    assert answer["data"] is None
    assert list(answer) == ["data", "extensions", "errors"]
    assert [error["path"] for error in answer["errors"]] == [["bad"]]


def test_all_aliases_of_a_request_see_one_height() -> None:
    devnet = devnet_with(indexation=True, low=5)
    view = devnet.nodes.next().view()
    devnet.chain.transfer(OWNER, OTHER, LOW, 5)
    query = (
        f'{{a:balance(owner:"{OWNER}",assetId:"{LOW}"){{amount}} '
        f'b:balance(owner:"{OTHER}",assetId:"{LOW}"){{amount}}}}'
    )
    answer = devnet.executor.execute(GraphqlRequest(query), view)
    assert answer["data"] == {"a": {"amount": "5"}, "b": {"amount": "0"}}
    assert answer["extensions"]["current_fuel_block_height"] == 1
