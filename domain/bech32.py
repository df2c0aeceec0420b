"""Legacy ``fuel1…`` addresses (bech32m, BIP-350), which old rows still hold."""

from __future__ import annotations

from domain.errors import InvalidAddressError

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32M = 0x2BC830A3
_PREFIX = "fuel"
_CHECKSUM_LENGTH = 6
_DATA_LENGTH = 52
"""32 bytes in groups of five bits: 51.2, rounded up."""


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            checksum ^= generator if (top >> bit) & 1 else 0
    return checksum


def _expanded_prefix() -> list[int]:
    return [ord(c) >> 5 for c in _PREFIX] + [0] + [ord(c) & 31 for c in _PREFIX]


def decode_fuel_bech32(text: str) -> str:
    """Return the ``0x`` form of a ``fuel1…`` address.

    Raises:
        InvalidAddressError: wrong characters, mixed case, wrong length or wrong checksum.
    """
    if text not in (text.lower(), text.upper()):
        raise InvalidAddressError(text, "bech32 addresses are in one case")
    payload = text.lower()[len(_PREFIX) + 1 :]
    if len(payload) != _DATA_LENGTH + _CHECKSUM_LENGTH or not set(payload) <= set(_CHARSET):
        raise InvalidAddressError(text, "not 32 bytes of bech32m")
    groups = [_CHARSET.index(c) for c in payload]
    if _polymod(_expanded_prefix() + groups) != _BECH32M:
        raise InvalidAddressError(text, "the checksum does not match")
    number = 0
    for group in groups[:_DATA_LENGTH]:
        number = number << 5 | group
    padding = _DATA_LENGTH * 5 - 256
    if number & ((1 << padding) - 1):
        raise InvalidAddressError(text, "the padding is not zero")
    return "0x" + format(number >> padding, "064x")


def encode_fuel_bech32(address: str) -> str:
    """Return the legacy ``fuel1…`` form of an address, to find it in old rows."""
    number = int(address, 16) << (_DATA_LENGTH * 5 - 256)
    groups = [number >> (5 * place) & 31 for place in reversed(range(_DATA_LENGTH))]
    padded = [*_expanded_prefix(), *groups, *([0] * _CHECKSUM_LENGTH)]
    check = _polymod(padded) ^ _BECH32M
    groups += [check >> (5 * place) & 31 for place in reversed(range(_CHECKSUM_LENGTH))]
    return f"{_PREFIX}1" + "".join(_CHARSET[group] for group in groups)
