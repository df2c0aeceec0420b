from __future__ import annotations

from typing import Any

import pytest

from api.pricing import Pricing, read_prices, read_units
from domain.values import Balance

A, B = "0x" + "aa" * 32, "0x" + "bb" * 32


def test_what_is_no_price_is_left_out() -> None:
    quotes = {"a": "1.5", "b": "x", "c": "NaN", "d": "inf", "e": "-1", "f": "", "g": "1e300"}
    assert read_prices(quotes) == {"a": 1.5}


@pytest.mark.parametrize(
    ("raw", "price"),
    [("0", 0.0), ("1e-7", 1e-7), ("2.5E+3", 2500.0), ("000.5", 0.5), ("1" + "0" * 15, 1e15)],
)
def test_prices_are_read_as_javascript_writes_them(raw: str, price: float) -> None:
    assert read_prices({"a": raw}) == {"a": price}


@pytest.mark.parametrize(
    "raw", ["1_0", "\u0663", "1,5", "1.", ".5", "+1", "0x10", "Infinity", " ", "1e9999", "9" * 500]
)
def test_what_python_alone_takes_for_a_price_is_none(raw: str) -> None:
    assert read_prices({"a": raw}) == {}


def test_decimals_are_those_of_the_chain() -> None:
    listed = [
        {
            "name": "ETH",
            "networks": [
                {"type": "ethereum", "chainId": 1, "decimals": 18},
                {"type": "fuel", "chainId": 0, "assetId": A, "decimals": 6},
                {"type": "fuel", "chainId": 9889, "assetId": A, "decimals": 9},
            ],
        },
        {"networks": [{"chainId": 9889, "assetId": A, "decimals": 3}]},
    ]
    assert read_units(listed, 9889) == {A: 9}
    assert read_units(listed, 0) == {A: 6}
    assert read_units(listed, 7) == {}


@pytest.mark.parametrize(
    "listed",
    [
        None,
        {},
        "odd",
        [None],
        [{}],
        [{"networks": None}],
        [{"networks": [None]}],
        [{"networks": [{"chainId": 9889}]}],
        [{"networks": [{"chainId": 9889, "assetId": A, "decimals": "9"}]}],
        [{"networks": [{"chainId": 9889, "assetId": A, "decimals": -1}]}],
        [{"networks": [{"chainId": 9889, "assetId": A, "decimals": True}]}],
    ],
)
def test_a_damaged_list_of_assets_gives_no_decimals(listed: Any) -> None:
    assert read_units(listed, 9889) == {}


def test_an_unlisted_asset_has_eight_decimals_and_no_price() -> None:
    pricing = Pricing(prices={A: 2.0})
    assert pricing.worth(Balance(A, 150_000_000)) == 3.0
    assert pricing.worth(Balance(B, 150_000_000)) == 0.0
    assert pricing.unpriced([Balance(B, 1), Balance(A, 1), Balance(B, 2)]) == [B]


def test_a_price_of_zero_is_an_unknown_price() -> None:
    assert Pricing(prices={A: 0.0}).unpriced([Balance(A, 1)]) == [A]


def test_a_single_unit_of_an_unverified_asset_is_an_nft() -> None:
    pricing = Pricing(verified=frozenset({A}))
    assert [pricing.is_nft(b) for b in (Balance(B, 1), Balance(B, 2), Balance(A, 1))] == [
        True,
        False,
        False,
    ]
