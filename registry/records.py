"""What the registry hands out: plain values, no rows."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.values import Address, AssetId, ChainId

ZERO_ADDRESS = "0x" + "0" * 64
"""Fills the unused places among a vault's signers."""

ReservedCoins = dict[AssetId, int]
"""Amount that pending transactions will spend, by asset."""


@dataclass(slots=True)
class Reservation:
    """What the pending transactions of one predicate will spend.

    Attributes:
        coins: by asset.
        unreadable: pending transactions whose draft nobody could read: what is reserved is
            then only known from below.
    """

    coins: ReservedCoins = field(default_factory=dict)
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class PendingDraft:
    """One pending transaction of a predicate.

    Attributes:
        network_url: where it is to be sent, as Bako compares URLs; None when the row does not say.
        coins: what it will spend; None when nobody could read the draft.
    """

    network_url: str | None
    coins: ReservedCoins | None


@dataclass(frozen=True, slots=True)
class PredicateRecord:
    """One predicate as its owner sees it, with what is pending on it.

    Attributes:
        predicate_id: its uuid.
        name: for people.
        stored_address: the text in the table.
        address: the same in our form; None when the table holds something else, so that
            nobody takes an unreadable vault for an empty one.
        members: signers of the vault, 0 where a connector signs.
        minimum_signers: how many of them must sign.
        workspace_id: where it belongs; None: nowhere.
        updated_at: when its row was last changed, UTC without a zone; None: nobody noted it.
        drafts: its pending transactions, on every network.
    """

    predicate_id: str
    name: str
    stored_address: str
    address: Address | None
    members: int
    minimum_signers: int
    updated_at: datetime | None
    workspace_id: str | None = None
    drafts: tuple[PendingDraft, ...] = ()

    def reservation(self, network_urls: Collection[str]) -> Reservation:
        """Return what its pending transactions will spend on the network of these URLs.

        Args:
            network_urls: as Bako compares them (`registry.reserved.comparable_url`).
        """
        reservation = Reservation()
        for draft in self.drafts:
            if draft.network_url not in network_urls:
                continue
            if draft.coins is None:
                reservation.unreadable += 1
                continue
            for asset_id, amount in draft.coins.items():
                reservation.coins[asset_id] = reservation.coins.get(asset_id, 0) + amount
        return reservation


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A login as the table ``user_tokens`` keeps it.

    Attributes:
        user_id: whose it is.
        user_address: what the header ``signeraddress`` must be.
        chain_id: the network that the user selected; None when the row does not say.
        network_url: its address as Bako stored it.
        expires_at: UTC without a zone; None: the row does not say, treat it as over.
    """

    user_id: str
    user_address: str
    chain_id: ChainId | None
    network_url: str
    expires_at: datetime | None


def signers(configurable: str | None) -> tuple[int, int]:
    """Return (members, minimum signers) out of a vault's configurable JSON.

    Bako's rule: the members are SIGNERS without the zero address (none for a vault that a
    connector signs for), the minimum is SIGNATURES_COUNT, or 1 where there is none. What
    cannot be read counts as one of one.
    """
    parsed = _parsed(configurable)
    listed = parsed.get("SIGNERS") if isinstance(parsed, dict) else None
    # What JavaScript counts as nothing is no list of signers; any other thing is an error there.
    if parsed is None or isinstance(listed, dict) or (listed and not isinstance(listed, list)):
        return 1, 1
    members = sum(signer != ZERO_ADDRESS for signer in listed or [])
    count = parsed.get("SIGNATURES_COUNT") if isinstance(parsed, dict) else None
    # JavaScript knows no difference between 2 and 2.0; infinity is no whole number.
    is_whole = isinstance(count, int) or (isinstance(count, float) and count.is_integer())
    return members, int(count) if count and is_whole and count is not True else 1


def signs_for(user_address: str, configurable: str | None) -> bool:
    """Tell whether a vault's configurable JSON names this user's address as a signer."""
    parsed = _parsed(configurable)
    if not isinstance(parsed, dict):
        return False
    listed = parsed.get("SIGNERS")
    return (isinstance(listed, list) and user_address in listed) or (
        parsed.get("SIGNER") == user_address
    )


def _parsed(configurable: str | None) -> Any:
    try:
        return json.loads(configurable or "")
    except (ValueError, RecursionError):
        return None
