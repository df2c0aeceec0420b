"""Amounts as texts and dollars, bit for bit as Bako's clients see them. Pure.

The rules are those of the TypeScript that Bako runs: the `BN` class of the Fuel SDK
(`@fuel-ts/math`) for amounts and `Number.prototype.toLocaleString('en-US')` for dollars. The
tests compare with that code itself.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache

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

    Nine fractional digits are kept and the rest is cut, not rounded; fewer than three are
    filled with zeros. Below one, a fraction that this would turn into nothing keeps its first
    digit. An amount without units is shown as it is.
    """
    digits = str(amount)
    if units == 0:
        return digits
    whole, fraction = digits[:-units] or "0", digits[-units:].rjust(units, "0").rstrip("0")
    first = len(fraction) - len(fraction.lstrip("0"))
    keep = first + 1 if whole == "0" and first >= _PRECISION else _PRECISION
    return f"{whole}.{fraction[:keep].ljust(_MINIMUM_PRECISION, '0')}"


@lru_cache(maxsize=16_384)
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
