"""What a process has copied out of Redis, and what must not be kept of it. Knows no socket.

Every rule here serves one sentence: what is taken from here was true in Redis at most
`TRUSTED_SECONDS` ago, and is never older than what this process has read, written or invalidated
there itself.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cache.codec import Decoded, PoisonedValueError
from cache.judging import own_fresh
from cache.keys import EPOCH
from cache.known import Known
from domain.values import Address, ChainId, Fresh

TRUSTED_SECONDS = 1.0
"""How long after a question that was answered the copy may be used: until then every change that
came before the question has been told."""

HELD_SECONDS = 5.0
"""How long one value is held, whatever is told: a notice that never came costs this much."""

_LARGEST_BYTES = 8 * 1024

_ADDRESS = re.compile(rb"0x[0-9a-f]{64}")
_EPOCH = EPOCH.encode()

Place = tuple[ChainId, Address]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A predicate on one chain to be copied.

    Attributes:
        known: its keys, and what its value was decoded to.
        version: the version that this process has read: an older one must not be copied.
    """

    known: Known
    version: int


@dataclass(eq=False, slots=True)
class Question:
    """One command under way. What changes meanwhile spoils its answer."""

    wanted: dict[Place, Wanted]
    asked_at: float
    spoiled: set[Address] = field(default_factory=set)
    all_spoiled: bool = False
    epoch_spoiled: bool = False

    def names(self) -> list[bytes]:
        """Return the keys to read: the history's name, then three for each predicate."""
        names = [_EPOCH]
        for wanted in self.wanted.values():
            names += wanted.known.names
        return names


@dataclass(frozen=True, slots=True)
class _Held:
    value: Decoded
    until: float


class Copies:
    """The copied values of up to `most` predicates; the first ones are forgotten first."""

    def __init__(self, most: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._monotonic = monotonic
        self._held: dict[Address, dict[ChainId, _Held]] = {}
        self._under_way: list[Question] = []
        self._trusted_until = float("-inf")
        self.epoch: str | None = None

    def __len__(self) -> int:
        return len(self._held)

    def take(
        self, chain_id: ChainId, addresses: Iterable[Address], now_ms: int
    ) -> dict[Address, Fresh]:
        """Return the fresh ones that are held; those that are due are read from Redis instead.

        So none outlives its fresh life here, which ends after it is due.
        """
        now = self._monotonic()
        if self.epoch is None or now >= self._trusted_until:
            return {}
        found = {}
        for address in addresses:
            held = self._held.get(address, _NOTHING).get(chain_id)
            if held is None or now >= held.until or held.value.epoch != self.epoch:
                continue
            answer = own_fresh(held.value, now_ms)
            if not answer.due:
                found[address] = answer
        return found

    def ask(self, wanted: Mapping[Place, Wanted]) -> Question:
        """Begin a question; nothing wanted: it asks for the history's name, as a heartbeat."""
        question = Question(dict(wanted), self._monotonic())
        self._under_way.append(question)
        return question

    def raise_version(self, place: Place, version: int) -> bool:
        """Note what was read in Redis; tell whether this predicate is held or on its way."""
        chain_id, address = place
        held = self._held.get(address, _NOTHING).get(chain_id)
        if held is not None:
            if held.value.stored.version >= version and self._monotonic() < held.until:
                return True
            self._drop(address)
        is_coming = False
        for question in self._under_way:
            wanted = question.wanted.get(place)
            if wanted is not None:
                question.wanted[place] = Wanted(wanted.known, max(wanted.version, version))
                is_coming |= not (question.all_spoiled or address in question.spoiled)
        return is_coming

    def answer(self, question: Question, texts: Sequence[bytes | None]) -> None:
        """Keep what the answer brings. Must run before any later notice is applied."""
        self._under_way.remove(question)
        self._trusted_until = question.asked_at + TRUSTED_SECONDS
        if not question.epoch_spoiled:
            self.epoch = None if texts[0] is None else texts[0].decode("utf-8", "replace")
        if question.all_spoiled:
            return
        until = question.asked_at + HELD_SECONDS
        for (place, wanted), raw, chain_flag, global_flag in zip(
            question.wanted.items(), texts[1::3], texts[2::3], texts[3::3], strict=True
        ):
            flagged = chain_flag is not None or global_flag is not None
            if raw is not None and not flagged and place[1] not in question.spoiled:
                self._keep(place, wanted, raw, until)

    def _keep(self, place: Place, wanted: Wanted, raw: bytes, until: float) -> None:
        if len(raw) > _LARGEST_BYTES:
            return
        try:
            value = wanted.known.decode(raw)
        except PoisonedValueError:
            return  # the read that wanted it has counted it
        if value.epoch is None or value.stored.version < wanted.version:
            return
        chain_id, address = place
        if address not in self._held and len(self._held) >= self._most:
            del self._held[next(iter(self._held))]
        self._held.setdefault(address, {})[chain_id] = _Held(value, until)

    def changed(self, names: Sequence[bytes] | None) -> bool:
        """Apply a notice; tell whether the history's name must be asked for again."""
        if names is None:  # FLUSHALL, FLUSHDB
            self._forget_all()
            return True
        for name in names:
            if name == _EPOCH:
                self._forget_epoch()
            elif (found := _ADDRESS.search(name)) is not None:
                self._drop(found[0].decode())
        return _EPOCH in names

    def forget(self, addresses: Iterable[Address]) -> None:
        """Drop predicates on all chains: this process has changed them, or seen them changed."""
        for address in addresses:
            self._drop(address)

    def lost(self) -> None:
        """Drop everything: nobody tells any more what changes."""
        self._held.clear()
        self._under_way.clear()
        self._trusted_until = float("-inf")
        self.epoch = None

    def silence(self) -> float:
        """Return for how many seconds the oldest question has gone without an answer."""
        if not self._under_way:
            return 0.0
        return self._monotonic() - self._under_way[0].asked_at

    def _drop(self, address: Address) -> None:
        self._held.pop(address, None)
        for question in self._under_way:
            question.spoiled.add(address)

    def _forget_all(self) -> None:
        self._held.clear()
        for question in self._under_way:
            question.all_spoiled = True
        self._forget_epoch()

    def _forget_epoch(self) -> None:
        self.epoch = None
        for question in self._under_way:
            question.epoch_spoiled = True


_NOTHING: Mapping[ChainId, _Held] = {}
