"""What is told about one vault: made once a change, whoever listens."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from api.money import dollar_text, to_hex
from api.pricing import Pricing
from api.representation import freshness_of
from domain.ports import Served
from domain.values import Address, Balance, ChainId, Missing, Stale

Signature = tuple[object, ...]


class VaultState:
    """What is known of one predicate on one chain at one moment.

    Attributes:
        address: the predicate.
        signature: two states with the same one are the same news.
    """

    __slots__ = ("_chain_id", "_members", "_pricing", "_served", "address", "signature")

    def __init__(
        self, address: Address, chain_id: ChainId, served: Served, pricing: Pricing
    ) -> None:
        self.address = address
        self._chain_id = chain_id
        self._served = served
        self._pricing = pricing
        self._members: bytes | None = None
        self.signature = _signature(served)

    @property
    def is_missing(self) -> bool:
        """Nothing is known."""
        return isinstance(self._served.answer, Missing)

    @property
    def is_fresh(self) -> bool:
        """Right as far as anybody has told us."""
        return not isinstance(self._served.answer, Missing | Stale)

    @property
    def is_ours(self) -> bool:
        """Written by a process of ours, so that the stream of changes tells of it."""
        answer = self._served.answer
        return not isinstance(answer, Missing) and answer.stored.version > 0

    def data(self, predicate_id: str) -> bytes:
        """Return the data of the event for one vault with this address."""
        if self._members is None:
            self._members = self._encode()
        return b'{"predicateId":%b,%b' % (json.dumps(predicate_id).encode(), self._members)

    def _encode(self) -> bytes:
        answer = self._served.answer
        balances: tuple[Balance, ...] | None = None
        as_of = None
        if not isinstance(answer, Missing):
            balances = tuple(b for b in answer.stored.snapshot.balances if b.amount > 0)
            moment = datetime.fromtimestamp(answer.stored.timestamp_ms / 1000, UTC)
            as_of = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        told = {
            "address": self.address,
            "chainId": self._chain_id,
            "totalBalance": None if balances is None else _amounts(balances),
            "worth": None if balances is None else _worth(balances, self._pricing),
            "asOf": as_of,
            "freshness": freshness_of(self._served).model_dump(by_alias=True),
        }
        return json.dumps(told, separators=(",", ":")).encode()[1:]


def _signature(served: Served) -> Signature:
    answer = served.answer
    if isinstance(answer, Missing):
        return ("missing",)
    stored = answer.stored
    reason = answer.reason if isinstance(answer, Stale) else None
    return (reason, stored.version, stored.timestamp_ms, stored.foreign)


def _amounts(balances: tuple[Balance, ...]) -> list[dict[str, str]]:
    return [{"assetId": b.asset_id, "amount": to_hex(b.amount)} for b in balances]


def _worth(balances: tuple[Balance, ...], pricing: Pricing) -> str | None:
    """Return dollars; None when the price of anything among it is unknown."""
    return None if pricing.unpriced(balances) else dollar_text(pricing.total(balances))
