"""One open stream: what its reader has not been told yet, coalesced to the newest of each vault."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from api.sessions import Caller, ServiceCaller
from api.streams.events import EventId, event, heartbeat, raw_event, retry, subject_of, with_id
from api.streams.journal import Place
from api.streams.outdated import PREDICATE, USER, outdated_events
from api.streams.states import Signature, VaultState
from cache.warm_ups import WarmUpProgress
from domain.values import Address
from registry.records import PredicateRecord

EVENT_NAMES = (
    *("vaults", "balances", "snapshot", "resumed", "reset"),
    *("warm-up", "live", "end", USER, PREDICATE),
)
"""All events that there are."""

_CHUNK_BYTES = 64 * 1024
"""So much is composed at once; the rest waits, and is replaced by what is newer."""


class End(StrEnum):
    """Why a stream ends."""

    SESSION = "session"
    SESSION_CHANGED = "session_changed"
    UNVERIFIED = "unverified"
    LIFE = "life"
    SHUTDOWN = "shutdown"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Told:
    """What was put last about one vault.

    Attributes:
        ticket: of the read that found it; an older read is no news.
        signature: what it said.
    """

    ticket: int
    signature: Signature


class Feed:
    """Takes news from the hub and hands them out as bytes, as fast as its reader takes them.

    It never holds more than one state of each vault, however slow the reader is.

    Args:
        caller: whose stream it is.
        token: proves it again and again; None: a service caller's.
        records: the vaults that it is about.
    """

    def __init__(
        self,
        caller: Caller | ServiceCaller,
        user_id: str,
        token: str | None,
        records: Sequence[PredicateRecord],
    ) -> None:
        self.caller = caller
        self.user_id = user_id
        self.token = token
        self.chain_id = caller.chain_id
        self.ended: End | None = None
        self._records: dict[Address, list[PredicateRecord]] = {}
        self._all: Sequence[PredicateRecord] | None = None
        self._told: dict[Address, Told] = {}
        self._first: dict[str, bytes] = {}
        self._outdated: dict[str, PredicateRecord] = {}
        self._news: dict[Address, VaultState] = {}
        self._warm_up: WarmUpProgress | None = None
        self._warm_up_told: WarmUpProgress | None = None
        self._after: dict[str, bytes] = {}
        self._reads = 0
        self._wake = asyncio.Event()
        self._subject: tuple[str | None, str] | None = None
        self.set_records(records)

    @property
    def addresses(self) -> Sequence[Address]:
        """The predicates that it is about."""
        return list(self._records)

    @property
    def places(self) -> Sequence[Place]:
        """The same, with their chain."""
        return [(self.chain_id, address) for address in self._records]

    def subject(self, epoch: str | None) -> str:
        """Name what the stream is about, for its ids."""
        if self._subject is None or self._subject[0] != epoch:
            ids = (record.predicate_id for record in self._all or ())
            self._subject = (epoch, subject_of(self.user_id, self.chain_id, ids, epoch))
        return self._subject[1]

    @property
    def is_warming(self) -> bool:
        """The last progress that was told is not the end of the warm-up."""
        return self._warm_up_told is not None and not self._warm_up_told.finished

    def has_told(self, address: Address) -> bool:
        """Tell whether anything was said of this vault yet."""
        return address in self._told

    def set_records(self, records: Sequence[PredicateRecord]) -> Sequence[Address]:
        """Say which vaults the stream is about from now on; return the addresses that are new."""
        if self._all is not None and list(records) == list(self._all):
            return ()
        before = self._records
        by_address: defaultdict[Address, list[PredicateRecord]] = defaultdict(list)
        for record in records:
            if record.address is not None:
                by_address[record.address].append(record)
        self._all, self._records, self._subject = tuple(records), dict(by_address), None
        for address in before.keys() - self._records.keys():
            self._told.pop(address, None)
            self._news.pop(address, None)
        for address, named in before.items():
            if self._records.get(address, named) != named:
                self._told.pop(address, None)  # another vault there must be told of, too
        self._outdated = {
            record.predicate_id: record
            for record in records
            if record.predicate_id in self._outdated
        }
        self.say("vaults", self._listed())
        return [address for address in self._records if address not in self._told]

    def _listed(self) -> Mapping[str, object]:
        vaults = [
            {"predicateId": r.predicate_id, "name": r.name, "address": r.address}
            for r in self._all or ()
        ]
        return {"chainId": self.chain_id, "vaults": vaults}

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """While vaults are read for the first time no id is given: not all was told yet."""
        self._reads += 1
        try:
            yield
        finally:
            self._reads -= 1

    def say(self, name: str, data: object) -> None:
        """Say something before all news; what was said under this name and waits is replaced."""
        self._first[name] = event(name, data)
        self._wake.set()

    def retry(self, milliseconds: int) -> None:
        """Say after which time to come again when the stream breaks."""
        self._first["retry"] = retry(milliseconds)

    def say_after(self, name: str, data: object) -> None:
        """Say something when all news that wait are told."""
        self._after[name] = event(name, data)
        self._wake.set()

    def put(self, ticket: int, state: VaultState) -> None:
        """Tell a vault's state, unless it is no news or a later read was told already."""
        told = self._told.get(state.address)
        if state.address not in self._records or (told is not None and told.ticket > ticket):
            return
        self._told[state.address] = Told(ticket, state.signature)
        if told is None or told.signature != state.signature:
            self._news[state.address] = state
            self._wake.set()

    def know(self, ticket: int, state: VaultState) -> None:
        """Note what the reader knows already."""
        self._told[state.address] = Told(ticket, state.signature)

    def outdate(self, address: Address) -> None:
        """Tell that a vault's balances were declared wrong."""
        for record in self._records.get(address, ()):
            self._outdated[record.predicate_id] = record
            self._wake.set()

    def progress(self, progress: WarmUpProgress) -> None:
        """Tell how far the user's warm-up is, if that is news."""
        if progress != self._warm_up_told:
            self._warm_up = self._warm_up_told = progress
            self._wake.set()

    def end(self, why: End) -> None:
        """Let the stream end: its reader is told why, and nothing else any more."""
        if self.ended is None:
            self.ended = why
            self._wake.set()

    async def news(self, seconds: float) -> None:
        """Return when there is something to tell, at the latest after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def take(self, event_id: EventId | None) -> bytes:
        """Take what is to be sent now; the id goes with the last of all that waits."""
        if self.ended is not None:
            return event("end", {"reason": self.ended.value})
        words: list[bytes] = []
        size = 0
        while size < _CHUNK_BYTES and (word := self._next()):
            words.append(word)
            size += len(word)
        if self._is_waiting():
            return b"".join(words)
        self._wake.clear()
        known = event_id if not self._reads else None
        if not words:
            return heartbeat(known)
        if known is not None:
            words[-1] = with_id(words[-1], known)
        return b"".join(words)

    def _is_waiting(self) -> bool:
        return bool(self._first or self._outdated or self._news or self._warm_up or self._after)

    def _next(self) -> bytes:
        if self._first:
            return self._first.pop(next(iter(self._first)))
        if self._outdated:
            outdated, self._outdated = self._outdated, {}
            return b"".join(outdated_events(self.user_id, list(outdated.values())))
        if self._news:
            address = next(iter(self._news))
            state = self._news.pop(address)
            records = self._records[address]
            return b"".join(raw_event("balances", state.data(r.predicate_id)) for r in records)
        if self._warm_up is not None:
            progress, self._warm_up = self._warm_up, None
            return event("warm-up", progress_data(progress, self.chain_id))
        return self._after.popitem()[1] if self._after else b""


def progress_data(progress: WarmUpProgress | None, chain_id: int) -> dict[str, object]:
    """Return how far a warm-up is, as the route and the stream say it."""
    if progress is None:
        return {"chainId": chain_id, "state": "none", "total": 0, "done": 0, "failed": 0}
    return {
        "chainId": chain_id,
        "state": "finished" if progress.finished else "running",
        "total": progress.total,
        "done": progress.done,
        "failed": progress.failed,
    }
