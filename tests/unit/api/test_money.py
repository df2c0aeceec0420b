from __future__ import annotations

import pytest

from api.money import dollar_text, dollars, formatted, to_hex


@pytest.mark.parametrize(
    ("amount", "units", "text"),
    [
        (0, 9, "0.000"),
        (1, 9, "0.000000001"),
        (1, 12, "0.000000000001"),  # nothing is left of nine digits: the first one stays
        (19, 12, "0.00000000001"),
        (1_999_999_999_999, 12, "1.999999999"),  # cut, never rounded
        (1_000_000_000, 9, "1.000"),
        (1_234_567_890, 8, "12.3456789"),
        (7, 0, "7"),
        (2**128 - 1, 9, "340282366920938463463374607431.768211455"),
    ],
)
def test_amounts_are_cut_and_filled_as_the_sdk_does(amount: int, units: int, text: str) -> None:
    assert formatted(amount, units) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (1.005, "1.01"),
        (2.675, "2.68"),
        (1234.565, "1,234.57"),
        (0.004999, "0.00"),
        (999_999.995, "1,000,000.00"),
        (1e21, "1,000,000,000,000,000,000,000.00"),
    ],
)
def test_dollars_are_rounded_half_up_on_their_shortest_text(value: float, text: str) -> None:
    assert dollar_text(value) == text


def test_a_price_of_nothing_is_worth_nothing() -> None:
    assert dollars(10**18, 9, 0.0) == 0.0


@pytest.mark.parametrize(("amount", "text"), [(0, "0x0"), (10, "0xa"), (1_000_000, "0xf4240")])
def test_amounts_become_the_shortest_lower_case_hex(amount: int, text: str) -> None:
    assert to_hex(amount) == text
