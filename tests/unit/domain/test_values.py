"""Addresses and amounts at the door: each accepted form, and everything else refused."""

from __future__ import annotations

import pytest

from domain.bech32 import _CHARSET, _expanded_prefix, _polymod
from domain.errors import InvalidAddressError, InvalidValueError
from domain.values import (
    Balance,
    checksum_address,
    parse_address,
    parse_amount,
    read_chain_id,
)

LOWER = "0x09c0b2d1a486c439a87bcba6b46a7a1a23f3897cc83a94521a96da5c23bc58db"
CHECKSUM = "0x09c0b2D1a486c439a87Bcba6b46a7A1A23f3897CC83A94521A96dA5c23bc58Db"


def encode_fuel_bech32(address: str) -> str:
    """Encode as BIP-350 says; the tests' own inverse."""
    number = int(address, 16) << 4
    groups = [number >> (5 * i) & 31 for i in reversed(range(52))]
    check = _polymod([*_expanded_prefix(), *groups, 0, 0, 0, 0, 0, 0]) ^ 0x2BC830A3
    groups += [check >> (5 * i) & 31 for i in reversed(range(6))]
    return "fuel1" + "".join(_CHARSET[group] for group in groups)


@pytest.mark.parametrize(
    "text", [LOWER, CHECKSUM, "0x" + LOWER[2:].upper(), encode_fuel_bech32(LOWER)]
)
def test_each_valid_form_becomes_the_lower_case_form(text: str) -> None:
    assert parse_address(text) == LOWER


def test_the_checksum_case_is_that_of_the_sdk() -> None:
    assert checksum_address(LOWER) == CHECKSUM


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        LOWER[:-1],
        LOWER + "0",
        LOWER[2:],
        "0X" + LOWER[2:],
        "0x" + "g" * 64,
        CHECKSUM.replace("D1", "d1"),
        "0xfuel139e53d4a8b4a1ed2088d5c67ef04fe3e09c0eefa5ce23b36c5e4b59e0933b9",
        encode_fuel_bech32(LOWER)[:-1] + "q",
        encode_fuel_bech32(LOWER).replace("fuel1", "FUEL1"),
        "fuel1",
        LOWER + "\n",
    ],
)
def test_anything_else_is_refused_and_named(text: str) -> None:
    with pytest.raises(InvalidAddressError, match="not a Fuel address"):
        parse_address(text)


@pytest.mark.parametrize("text", ["-1", "+1", "1.0", "", " 1", "01", "0x1", "١", str(2**128)])
def test_an_amount_is_a_plain_decimal_within_u128(text: str) -> None:
    with pytest.raises(InvalidValueError):
        parse_amount(text)


def test_the_largest_amount_is_exact() -> None:
    assert parse_amount(str(2**128 - 1)) == 2**128 - 1


@pytest.mark.parametrize(
    ("raw", "chain_id"),
    [
        (0, 0),
        ("0", 0),
        (9889, 9889),
        ("9889", 9889),
        (2**64 - 1, 2**64 - 1),
        (str(2**64 - 1), 2**64 - 1),
        (2**64, None),
        (str(2**64), None),
        (-1, None),
        ("-1", None),
        ("", None),
        ("09", None),
        ("9" * 5_000, None),
        ("\u0663", None),
        (True, None),
        (1.0, None),
        (None, None),
        ([0], None),
    ],
)
def test_a_chain_id_in_foreign_json_is_a_number_or_its_text(
    raw: object, chain_id: int | None
) -> None:
    assert read_chain_id(raw) == chain_id


def test_a_cheaply_frozen_value_is_a_value() -> None:
    one, same, other = Balance(LOWER, 1), Balance(LOWER, 1), Balance(LOWER, 2)

    assert one == same != other
    assert len({one, same, other}) == 2
    assert not hasattr(one, "__dict__")
