"""How the node reads scalars, and what it says about those that it cannot read.

The rules are fuel-core's: an optional ``0x``, any case, too few digits are filled up with zeros
from the left. The texts of refusals are the node's.
"""

from __future__ import annotations

import re

from graphql import GraphQLError

_HEX_DIGITS = "0123456789abcdefABCDEF"
_DECIMAL = re.compile(r"\+?[0-9]+")
_BITS = {"U16": 16, "U32": 32, "U64": 64, "U128": 128, "Tai64Timestamp": 64}
_UTXO_ID_BYTES = 34


def bytes32(type_name: str, value: object, inside: str | None = None) -> str:
    """Return 32 bytes as ``0x`` and 64 lower-case digits.

    Raises:
        GraphQLError: it is no string of at most 32 bytes in hex; `inside` names the input type
            that holds the value, for the message.
    """
    return _fixed(type_name, value, 32, inside)


def utxo_id(value: object) -> str:
    """Return a UTXO id: 32 bytes of transaction id and two of output number.

    Raises:
        GraphQLError: it is none.
    """
    return _fixed("UtxoId", value, _UTXO_ID_BYTES, None)


def hex_string(value: object) -> bytes:
    """Return the bytes of a string of hex digits of any length.

    Raises:
        GraphQLError: it is none.
    """
    text = _string("HexString", value, None)
    digits = text.removeprefix("0x")
    _check_digits("HexString", digits, None)
    return bytes.fromhex(digits)


def unsigned(type_name: str, value: object) -> int:
    """Return a number that travels as a decimal string.

    Raises:
        GraphQLError: it is none, or too large for its type.
    """
    text = _string(type_name, value, None)
    if not text:
        raise _refusal(type_name, "cannot parse integer from empty string", None)
    if _DECIMAL.fullmatch(text) is None:
        raise _refusal(type_name, "invalid digit found in string", None)
    number = int(text)
    if number >= 2 ** _BITS[type_name]:
        raise _refusal(type_name, "number too large to fit in target type", None)
    return number


def _fixed(type_name: str, value: object, length: int, inside: str | None) -> str:
    text = _string(type_name, value, inside)
    digits = text.removeprefix("0x")
    _check_digits(type_name, digits, inside)
    if len(digits) > 2 * length:
        why = f"expected {length} bytes, received {len(digits) // 2}"
        raise _refusal(type_name, why, inside)
    return "0x" + digits.lower().rjust(2 * length, "0")


def _check_digits(type_name: str, digits: str, inside: str | None) -> None:
    if len(digits) % 2:
        raise _refusal(type_name, "Odd number of digits", inside)
    for position, character in enumerate(digits):
        if character not in _HEX_DIGITS:
            why = f"Invalid character {character!r} at position {position}"
            raise _refusal(type_name, why, inside)


def _string(type_name: str, value: object, inside: str | None) -> str:
    if not isinstance(value, str):
        shown = str(value).lower() if isinstance(value, bool) else value
        raise GraphQLError(f'Expected input type "{type_name}", found {shown}.{_while(inside)}')
    return value


def _refusal(type_name: str, why: str, inside: str | None) -> GraphQLError:
    return GraphQLError(f'Failed to parse "{type_name}": {why}{_while(inside)}')


def _while(inside: str | None) -> str:
    return "" if inside is None else f' (occurred while parsing "{inside}")'
