from __future__ import annotations

import pytest
from graphql import GraphQLError

from devnet.scalars import bytes32, hex_string, unsigned, utxo_id


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("0x01", "01"),
        ("01", "01"),
        ("", ""),
        ("0x", ""),
        ("0xABcd", "abcd"),
        ("0x" + "aa" * 32, "aa" * 32),
    ],
)
def test_short_values_are_filled_up_from_the_left_and_lowered(text: str, digits: str) -> None:
    assert bytes32("Address", text) == "0x" + digits.rjust(64, "0")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0x123", 'Failed to parse "Address": Odd number of digits'),
        ("0xZ0", "Failed to parse \"Address\": Invalid character 'Z' at position 0"),
        ("0X01", "Failed to parse \"Address\": Invalid character 'X' at position 1"),
        ("0x" + "00" * 33, 'Failed to parse "Address": expected 32 bytes, received 33'),
        (1, 'Expected input type "Address", found 1.'),
        (True, 'Expected input type "Address", found true.'),
    ],
)
def test_what_is_no_address_is_refused_in_the_nodes_words(value: object, message: str) -> None:
    with pytest.raises(GraphQLError) as caught:
        bytes32("Address", value)
    assert caught.value.message == message


def test_a_refusal_names_the_input_that_holds_the_value() -> None:
    with pytest.raises(GraphQLError) as caught:
        bytes32("Address", "0x1", "BalanceFilterInput")
    assert caught.value.message == (
        'Failed to parse "Address": Odd number of digits '
        '(occurred while parsing "BalanceFilterInput")'
    )


def test_numbers_are_decimal_strings_within_their_type() -> None:
    assert unsigned("U32", "4294967295") == 2**32 - 1
    assert unsigned("U64", "+7") == 7


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (1, 'Expected input type "U32", found 1.'),
        ("", 'Failed to parse "U32": cannot parse integer from empty string'),
        ("-1", 'Failed to parse "U32": invalid digit found in string'),
        ("0x1", 'Failed to parse "U32": invalid digit found in string'),
        ("4294967296", 'Failed to parse "U32": number too large to fit in target type'),
    ],
)
def test_what_is_no_number_is_refused(value: object, why: str) -> None:
    with pytest.raises(GraphQLError) as caught:
        unsigned("U32", value)
    assert caught.value.message == why


def test_a_utxo_id_has_34_bytes_and_a_hex_string_any_number() -> None:
    assert utxo_id("0x" + "ab" * 34) == "0x" + "ab" * 34
    assert hex_string("0x00ff") == b"\x00\xff"
    with pytest.raises(GraphQLError, match="expected 34 bytes, received 35"):
        utxo_id("0x" + "ab" * 35)
