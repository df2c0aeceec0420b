"""What happens to vaults, for operators: who declared one wrong, why it could not be refilled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from domain.values import Address, BlockHeight, ChainId


class VaultEventKind(StrEnum):
    """What happened to a vault."""

    PUBLISHED = "published"
    INVALIDATED = "invalidated"
    CLEARED = "cleared"
    FETCH_FAILED = "fetch_failed"  # the node gave no balances
    PUBLISH_REFUSED = "publish_refused"  # it did, and they could not be believed


@dataclass(frozen=True, slots=True)
class Note:
    """One event, as whoever caused it tells it.

    Attributes:
        kind: what happened.
        detail: by whom or why, for people; no credentials.
        height: the block height that it is about; None: none.
    """

    kind: VaultEventKind
    detail: str
    height: BlockHeight | None = None


def invalidated(
    addresses: Iterable[Address], by: str, height: BlockHeight | None = None
) -> dict[Address, Note]:
    """Return the notes of vaults that somebody has declared wrong."""
    return dict.fromkeys(addresses, Note(VaultEventKind.INVALIDATED, by, height))


class EventLog(Protocol):
    """Where events are told. Telling never fails and never stops what it tells of."""

    async def note(self, chain_id: ChainId, notes: Mapping[Address, Note]) -> None:
        """Remember what happened to each of these vaults."""
        ...

    async def took(self, chain_id: ChainId, addresses: Sequence[Address], seconds: float) -> None:
        """Remember how long one fetch of these vaults took, if it was long."""
        ...
