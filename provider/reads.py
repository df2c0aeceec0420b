"""What one read has learnt so far about each predicate, and what it still has to find out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from domain.errors import NodeBehindError, ProviderError, TransientProviderError
from domain.ports import (
    NO_DEMAND,
    Demand,
    Refilled,
    RefillFailed,
    RefillOutcome,
    Served,
    Source,
    Unmet,
)
from domain.values import (
    Address,
    Fresh,
    Missing,
    ReadAnswer,
    Snapshot,
    Stale,
    StaleReason,
    StoredSnapshot,
)


class Reads:
    """The state of one `read_many`.

    Attributes:
        served: what the reader gets if it ends now; every address has its place from the start.
        wanted: what may still become fresh.
        failures: why a predicate is not fresh.
    """

    def __init__(
        self, addresses: Sequence[Address], *, deadline: float, demand: Demand = NO_DEMAND
    ) -> None:
        self._deadline = deadline
        self.demand = demand
        self.wanted = list(dict.fromkeys(addresses))
        self.served: dict[Address, Served] = {
            address: Served(Missing(), Source.CACHE) for address in self.wanted
        }
        self.failures: dict[Address, ProviderError] = {}
        self._refilled: set[Address] = set()
        self._restored: dict[Address, Served] = {}

    def seconds_left(self) -> float:
        """Return how long the reader still waits; never negative."""
        return max(0.0, self._deadline - asyncio.get_running_loop().time())

    def versions(self, addresses: Iterable[Address]) -> dict[Address, int]:
        """Return the version that was read of each of these predicates; 0: none."""
        answers = {address: self.served[address].answer for address in addresses}
        return {
            address: 0 if isinstance(answer, Missing) else answer.stored.version
            for address, answer in answers.items()
        }

    def take_from_cache(self, answers: Mapping[Address, ReadAnswer]) -> None:
        """Take what the cache holds; what is fresh there needs nothing more."""
        for address, answer in answers.items():
            source = Source.NODE if address in self._refilled else Source.CACHE
            self.served[address] = Served(answer, source)
            if isinstance(answer, Missing) and address in self._restored:
                self.served[address] = self._restored[address]
        self.wanted = [address for address in self.wanted if not self._is_done(address)]

    def _is_fresh(self, address: Address) -> bool:
        return isinstance(self.served[address].answer, Fresh)

    def _is_done(self, address: Address) -> bool:
        """Tell whether asking the node (again) could bring the reader anything."""
        if not self._is_fresh(address):
            return False
        return address in self._refilled or self.demand.is_met(self.served[address].answer)

    def outcome(self) -> dict[Address, Served]:
        """Return what the reader gets, with what is not as he demanded marked."""
        if self.demand == NO_DEMAND:
            return self.served
        return {address: self._marked(address, served) for address, served in self.served.items()}

    def _marked(self, address: Address, served: Served) -> Served:
        refilled = address in self._refilled or served.source is Source.NODE
        if self.demand.is_met(served.answer, refilled=refilled):
            return served
        was_refused = address in self._refilled or address in self.failures
        return replace(served, unmet=Unmet.REFUSED if was_refused else Unmet.PENDING)

    def content_with(self, *, allow_stale: bool) -> list[Address]:
        """Stop wanting what the reader takes as it is; return what to refresh behind it."""
        behind = []
        for address, served in self.served.items():
            stale = isinstance(served.answer, Stale) and allow_stale
            if stale or (isinstance(served.answer, Fresh) and served.answer.due):
                behind.append(address)
        if allow_stale:
            self.wanted = [address for address in self.wanted if address not in behind]
        return behind

    def missing(self) -> list[Address]:
        """Return those of which nothing is known."""
        return [a for a, served in self.served.items() if isinstance(served.answer, Missing)]

    def take_restored(
        self, found: Mapping[Address, StoredSnapshot], *, keep_seconds: float
    ) -> list[Address]:
        """Take what another store still knew; return those that the reader need not wait for.

        What was confirmed within the keep life would still be in the cache, had it not lost it:
        then it has lost much, and nobody must queue for the node. What is older than that is
        better than nothing, when the node gives nothing.
        """
        now_ms = time.time() * 1000
        lost = []
        for address, stored in found.items():
            age_ms = max(0, int(now_ms - stored.timestamp_ms))
            answer = Stale(stored, age_ms, StaleReason.RESTORED)
            self.served[address] = self._restored[address] = Served(answer, Source.DATABASE)
            if age_ms <= keep_seconds * 1000 and self.demand.is_met(answer):
                lost.append(address)
        self.wanted = [address for address in self.wanted if address not in lost]
        return lost

    def note_refilled(self, outcomes: Mapping[Address, RefillOutcome]) -> None:
        """Remember which predicates this very read has brought from the node."""
        for address, outcome in outcomes.items():
            if isinstance(outcome, Refilled):
                self._refilled.add(address)

    def take_failures(self, outcomes: Mapping[Address, RefillOutcome]) -> None:
        """Take the failures of a refill: this reader does not try again."""
        for address, outcome in outcomes.items():
            if isinstance(outcome, RefillFailed) and not self._is_done(address):
                self._take_failure(address, outcome)

    def _take_failure(self, address: Address, outcome: RefillFailed) -> None:
        self.wanted = [wanted for wanted in self.wanted if wanted != address]
        if isinstance(outcome.error, ProviderError):
            self._fail(address, outcome.error)
            return
        self.failures[address] = TransientProviderError(
            f"the balances of {address} kept changing while they were fetched"
        )
        served = self.served[address]
        if outcome.snapshot is not None and isinstance(served.answer, Missing):
            # Better than nothing, and marked: an invalidation came while it was fetched.
            stored = _as_stored(outcome.snapshot)
            answer = Stale(stored, 0, StaleReason.INVALIDATED)
            self.served[address] = Served(answer, Source.NODE)

    def take_from_node(self, answers: Mapping[Address, Snapshot | ProviderError]) -> None:
        """Take the node's word directly: nobody knows of invalidations now."""
        for address, answer in answers.items():
            if isinstance(answer, Snapshot):
                self.served[address] = Served(Fresh(_as_stored(answer), 0), Source.NODE)
                continue
            if isinstance(self.served[address].answer, Missing):
                self.served[address] = Served(Missing(), Source.NODE)
            self._fail(address, answer)

    def _fail(self, address: Address, error: ProviderError) -> None:
        self.failures[address] = error
        served = self.served[address]
        if isinstance(served.answer, Stale):
            reason = _reason(served.answer.reason, error)
            self.served[address] = replace(served, answer=replace(served.answer, reason=reason))


def _reason(known: StaleReason, error: ProviderError) -> StaleReason:
    """Say why a stale answer was not replaced; that it is known to be wrong stays said."""
    if isinstance(error, NodeBehindError):
        return StaleReason.NODE_BEHIND
    return known if known is StaleReason.INVALIDATED else StaleReason.NODE_DOWN


def _as_stored(snapshot: Snapshot) -> StoredSnapshot:
    """Dress a snapshot that is in no cache: our own clock, and no version."""
    return StoredSnapshot(snapshot, timestamp_ms=int(time.time() * 1000), version=0)
