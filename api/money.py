"""Amounts as texts and dollars, bit for bit as Bako's clients see them. Pure.

The rules are those of the TypeScript that Bako runs: the `BN` class of the Fuel SDK
(`@fuel-ts/math`) for amounts and `Number.prototype.toLocaleString('en-US')` for dollars. The
tests compare with that code itself.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

DEFAULT_UNITS = 8
"""Decimals of an asset that is on no list: Bako's default."""

_PRECISION = 9
_MINIMUM_PRECISION = 3
_CENT = Decimal("0.01")
_EXACT = Context(prec=400, rounding=ROUND_HALF_UP)
"""More digits than the largest float has."""


def to_hex(amount: int) -> str:
    """Return an amount as `BN` writes it into JSON: lower case, no leading zeros."""
    return hex(amount)


def formatted(amount: int, units: int) -> str:
    """Return what ``BN.format({units})`` returns, without its thousands commas.

    Nine fractional digits are kept and the rest is cut, not rounded; zeros at the end go until
    three are left. A fraction that this would turn into nothing keeps its first digit.
    """
    whole, fraction = _split(amount, units)
    cut = fraction[:_PRECISION]
    kept = cut[: max(_MINIMUM_PRECISION, len(cut.rstrip("0")))]
    if int(whole) == 0 and not kept.strip("0"):
        first = len(fraction) - len(fraction.lstrip("0"))
        if _PRECISION <= first < len(fraction):
            kept = fraction[: first + 1]
    return f"{whole}.{kept}" if kept else whole


def _split(amount: int, units: int) -> tuple[str, str]:
    """Cut the digits before the last `units`, as the SDK does.

    With no units at all the SDK's cut takes every digit for the fraction: ``7`` becomes
    ``0.7``. Clients see it, so it stays.
    """
    digits = str(amount)
    if units == 0:
        return "0", digits
    return digits[:-units] or "0", digits[-units:].rjust(units, "0")


def dollars(amount: int, units: int, price: float) -> float:
    """Return the worth of an amount at a price: a double, as JavaScript computes it."""
    return float(formatted(amount, units)) * price


def dollar_text(value: float) -> str:
    """Return dollars as en-US writes them: two decimals, commas, half a cent up.

    JavaScript rounds the shortest decimal text that names the double, which is Python's
    ``repr``: 1.005 becomes 1.01, though the double lies below it.
    """
    rounded = Decimal(repr(value)).quantize(_CENT, context=_EXACT)
    return f"{rounded:,.2f}"
