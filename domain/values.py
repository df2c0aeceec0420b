"""The values that every package speaks of: addresses, amounts, balances, snapshots, read answers.

Nothing here does I/O and nothing here imports more than the standard library, so that the
cache and the provider can stay strangers to each other.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum

from domain.bech32 import decode_fuel_bech32
from domain.errors import InvalidAddressError, InvalidValueError
from domain.frozen import cheaply_frozen

Address = str
"""A predicate's address: ``0x`` and 64 lower-case hex digits (`parse_address` makes one)."""

AssetId = str
"""An asset's id: ``0x`` and 64 lower-case hex digits."""

ChainId = int
"""A chain's id. **0 is a real chain** (testnet): compare with ``is None``, never by truth."""

BlockHeight = int
"""A block's number. Heights of different chains are never compared."""

MAX_AMOUNT = 2**128 - 1
"""The largest amount that a Fuel node can name (`amountU128`)."""

MAX_BLOCK_HEIGHT = 2**32 - 1
"""The largest block height: Fuel counts blocks in a u32."""

_HEX_32_BYTES = re.compile(r"0x[0-9a-fA-F]{64}")
_BASE_UNITS = re.compile(r"0|[1-9][0-9]*")


def parse_address(text: str) -> Address:
    """Return the one form of an address that we use inside.

    Accepted: ``0x`` + 64 hex digits in one case; the same in Fuel's checksum case; the legacy
    bech32m form ``fuel1…``. A mixed case whose checksum does not match is a typing error and
    is refused: the nearest thing to it would be somebody else's vault.

    Raises:
        InvalidAddressError: the text is in none of these forms.
    """
    if text[:5].lower() == "fuel1":
        return decode_fuel_bech32(text)
    if _HEX_32_BYTES.fullmatch(text) is None:
        raise InvalidAddressError(text)
    digits = text[2:]
    lowered = "0x" + digits.lower()
    if digits not in (digits.lower(), digits.upper()) and text != checksum_address(lowered):
        raise InvalidAddressError(text, "the checksum does not match")
    return lowered


def checksum_address(address: Address) -> str:
    """Return an address in Fuel's checksum case.

    The rule is that of the TypeScript SDK: digit i is upper-case where nibble i of the SHA-256
    of the 64 lower-case digits is 8 or more.
    """
    digits = address[2:]
    nibbles = hashlib.sha256(digits.encode("ascii")).hexdigest()
    pairs = zip(digits, nibbles, strict=True)
    return "0x" + "".join(
        digit.upper() if int(nibble, 16) >= 8 else digit  # noqa: PLR2004 - the rule's own number
        for digit, nibble in pairs
    )


def parse_asset_id(text: str) -> AssetId:
    """Return an asset id in lower case.

    Raises:
        InvalidValueError: the text is not ``0x`` and 64 hex digits.
    """
    if _HEX_32_BYTES.fullmatch(text) is None:
        raise InvalidValueError(f"not an asset id: {text[:80]!r}")
    return text.lower()


def parse_amount(text: str) -> int:
    """Return the amount that a node wrote as a decimal string of base units.

    Raises:
        InvalidValueError: signs, blanks, leading zeros, or more than a u128 holds.
    """
    if len(text) > len(str(MAX_AMOUNT)) or _BASE_UNITS.fullmatch(text) is None:
        raise InvalidValueError(f"not an amount: {text[:80]!r}")
    return check_amount(int(text))


def check_amount(amount: int) -> int:
    """Return the amount if a u128 holds it.

    Raises:
        InvalidValueError: it is negative or too large.
    """
    if not 0 <= amount <= MAX_AMOUNT:
        raise InvalidValueError(f"amount out of range: {amount}")
    return amount


def check_chain_id(chain_id: int) -> ChainId:
    """Return the chain id if it can be one (a u64).

    Raises:
        InvalidValueError: it is negative or too large.
    """
    if not 0 <= chain_id < 2**64:
        raise InvalidValueError(f"chain id out of range: {chain_id}")
    return chain_id


def read_chain_id(raw: object) -> ChainId | None:
    """Return a chain id as foreign JSON may hold it, a number or its text; None if it is none."""
    if isinstance(raw, str) and len(raw) <= len(str(2**64)) and _BASE_UNITS.fullmatch(raw):
        raw = int(raw)
    if not isinstance(raw, int) or isinstance(raw, bool):
        return None
    return raw if 0 <= raw < 2**64 else None


def check_block_height(height: int) -> BlockHeight:
    """Return the height if it can be one (a u32).

    Raises:
        InvalidValueError: it is negative or too large.
    """
    if not 0 <= height <= MAX_BLOCK_HEIGHT:
        raise InvalidValueError(f"block height out of range: {height}")
    return height


@cheaply_frozen
class Balance:
    """One asset's amount, in base units."""

    asset_id: AssetId
    amount: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All balances of one predicate on one chain, as a node told them.

    A node does not say at which height exactly it read. What is known is kept as two bounds:
    the balances are true at some height ``h`` with ``height <= h <= height_upper``.

    Attributes:
        address: the predicate.
        chain_id: the chain.
        balances: in the node's order; assets with amount 0 are left out. An empty tuple is an
            answer: the vault holds nothing.
        height: lower bound; 0 when the node gave no evidence.
        height_upper: upper bound; None when the node did not say.
        network_url: the node's address without credentials.
    """

    address: Address
    chain_id: ChainId
    balances: tuple[Balance, ...]
    height: BlockHeight = 0
    height_upper: BlockHeight | None = None
    network_url: str | None = None


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot as the cache holds it.

    Attributes:
        snapshot: what the node told.
        timestamp_ms: when it was published, by Redis's clock (by its writer's clock if foreign).
        version: counts the publishes of this predicate on this chain; 0 for a foreign writer's.
        foreign: written by another program (Bako's TypeScript) than ours.
    """

    snapshot: Snapshot
    timestamp_ms: int
    version: int
    foreign: bool = False


class StaleReason(StrEnum):
    """Why a snapshot is only the last known one."""

    EXPIRED = "expired"
    INVALIDATED = "invalidated"
    NODE_BEHIND = "node_behind"
    NODE_DOWN = "node_down"
    RESTORED = "restored"  # the cache has lost it; the database still knew it


@cheaply_frozen
class Fresh:
    """The answer of a hit: right as far as anybody has told us.

    ``due`` is true when the soft life is over: serve it, and refresh it behind.
    ``due_in_ms`` is the rest of that life; None: nobody set one.
    """

    stored: StoredSnapshot
    age_ms: int
    due: bool = False
    due_in_ms: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Stale:
    """The last known snapshot, and why it may be wrong by now."""

    stored: StoredSnapshot
    age_ms: int
    reason: StaleReason


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing is known. It is not an empty vault: it never counts as zero."""


ReadAnswer = Fresh | Stale | Missing


class Lane(StrEnum):
    """Whose call to the node goes first when the budget is short. Listed in that order."""

    INVALIDATION = "invalidation"
    READ = "read"
    WARMUP = "warmup"
    REFRESH = "refresh"
    AUDIT = "audit"
