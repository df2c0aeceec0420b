"""A snapshot as JSON and back: Bako's shape, with our own marks after it. Pure.

Bako's TypeScript reads and writes
``{"balances":[{"assetId","amount":"0x…"}],"timestamp":ms,"chainId":n,"networkUrl":"…"}`` and
ignores more. We add ``height``, ``heightUpper``, ``softLife`` (ms after the timestamp),
``epoch`` and ``version``; a value without them is a foreign writer's.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from domain.errors import InvalidValueError
from domain.networks import without_credentials
from domain.values import (
    Address,
    Balance,
    ChainId,
    Snapshot,
    StoredSnapshot,
    check_block_height,
    parse_asset_id,
)

MAX_VALUE_BYTES = 4 * 1024 * 1024
"""More than 30,000 assets: no vault, but somebody's mistake."""

_MARKS_BYTES = 128
"""More than timestamp, epoch and version take between the parts, all in ASCII."""

_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,32}")
_REMEMBERED_ASSETS = 4096
_COMPACT = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


class PoisonedValueError(InvalidValueError):
    """A stored value is not what any writer of balances writes."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A stored value.

    Attributes:
        stored: the snapshot and when it was published.
        soft_life_ms: after this age it should be refreshed; None for a foreign value.
        epoch: the name of the server's history in which it was written; None if foreign.
    """

    stored: StoredSnapshot
    soft_life_ms: int | None = None
    epoch: str | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """The JSON in parts: the script puts timestamp, epoch and version between them."""

    until_timestamp: str
    until_epoch: str
    until_version: str

    @property
    def is_too_large(self) -> bool:
        """Readers would take it for poisoned: it must not be stored."""
        parts = (self.until_timestamp, self.until_epoch, self.until_version)
        return sum(map(len, parts)) + _MARKS_BYTES > MAX_VALUE_BYTES


def encode(snapshot: Snapshot, soft_life_ms: int) -> Encoded:
    """Write a snapshot as Bako's TypeScript would, and our marks behind."""
    balances = [{"assetId": b.asset_id, "amount": hex(b.amount)} for b in snapshot.balances]
    rest: dict[str, Any] = {"chainId": snapshot.chain_id}
    if snapshot.network_url is not None:
        rest["networkUrl"] = without_credentials(snapshot.network_url)
    rest |= {
        "height": snapshot.height,
        "heightUpper": snapshot.height_upper,
        "softLife": soft_life_ms,
    }
    return Encoded(
        until_timestamp=f'{{"balances":{_compact(balances)},"timestamp":',
        until_epoch=f',{_compact(rest)[1:-1]},"epoch":"',
        until_version='","version":',
    )


def decode(raw: bytes, address: Address, chain_id: ChainId) -> Decoded:
    """Read a stored value.

    Raises:
        PoisonedValueError: not JSON, another shape, another chain, or huge.
    """
    if len(raw) > MAX_VALUE_BYTES:
        raise PoisonedValueError(f"a value of {len(raw)} bytes")
    try:
        return _parse(json.loads(raw), address, chain_id)
    except PoisonedValueError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise PoisonedValueError(f"not a snapshot: {type(error).__name__}") from error


def _parse(value: dict[str, Any], address: Address, chain_id: ChainId) -> Decoded:
    if _whole(value["chainId"]) != chain_id:
        raise PoisonedValueError("a snapshot of another chain")
    url = value.get("networkUrl")
    version = value.get("version")
    foreign = version is None or "epoch" not in value
    upper = value.get("heightUpper")
    snapshot = Snapshot(
        address=address,
        chain_id=chain_id,
        balances=_balances(value["balances"]),
        height=0 if foreign else check_block_height(_whole(value["height"])),
        height_upper=None if foreign or upper is None else check_block_height(_whole(upper)),
        network_url=None if url is None else without_credentials(_text(url)),
    )
    timestamp = _whole(value["timestamp"])
    if foreign:
        return Decoded(StoredSnapshot(snapshot, timestamp, version=0, foreign=True))
    stored = StoredSnapshot(snapshot, timestamp, version=_whole(version))
    return Decoded(stored, soft_life_ms=_whole(value["softLife"]), epoch=_text(value["epoch"]))


def _balances(rows: list[dict[str, Any]]) -> tuple[Balance, ...]:
    if not isinstance(rows, list):
        raise PoisonedValueError("balances are no list")
    amounts = [(_asset_id(row["assetId"]), _amount(row["amount"])) for row in rows]
    # Bako keeps zero rows; a snapshot leaves them out.
    return tuple([Balance(asset_id, amount) for asset_id, amount in amounts if amount])


@lru_cache(maxsize=_REMEMBERED_ASSETS)
def _asset_id(text: object) -> str:
    """Check an asset id; a vault holds the same few as the next one."""
    return parse_asset_id(_text(text))


def _amount(text: str) -> int:
    if _HEXADECIMAL.fullmatch(text) is None:  # at most 32 digits: never more than a u128
        raise PoisonedValueError("an amount that is not hexadecimal")
    return int(text, 16)


def _whole(value: object) -> int:
    if type(value) is not int or value < 0:
        raise PoisonedValueError("expected a whole number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise PoisonedValueError("expected a text")
    return value


def _compact(value: object) -> str:
    return _COMPACT.encode(value)
