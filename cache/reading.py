"""The read path: one round trip when all is fresh, a second one for what is not."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

from redis.exceptions import ResponseError

from cache.clock import ServerClock
from cache.codec import Decoded, PoisonedValueError
from cache.commands import Command, Commands, ScriptCall
from cache.counters import Counters
from cache.failures import refusals
from cache.judging import STATE_FIELDS, Found, State, judge, own_fresh
from cache.keys import EPOCH, Keys
from cache.known import Known, Memory
from domain.errors import CacheUnavailableError
from domain.measures import Measures
from domain.values import Address, ChainId, Fresh, Missing, ReadAnswer, Stale, StaleReason

_SHARED = 170
"""So many predicates of several readers go together: about 512 keys in one command."""

Held = tuple[str | None, bytes | None, bytes | None, bytes | None]
"""What Redis holds at one moment: the name of its history; the value, the flag of the chain and
the flag of all chains of one predicate."""

_Closer = tuple[Sequence[bytes | None] | Exception, bytes | None, Held]
"""The fields of the state, the last known snapshot, and what is held."""


class Reading:
    """Reads many predicates of one chain."""

    def __init__(
        self,
        commands: Commands,
        keys: Keys,
        clock: ServerClock,
        counters: Counters,
        measures: Measures,
        *,
        foreign_skew_ms: int,
    ) -> None:
        self._measures = measures
        self._commands = commands
        self._keys = keys
        self._memory = Memory(keys)
        self._clock = clock
        self._counters = counters
        self._foreign_skew_ms = foreign_skew_ms
        # On a cluster the name would be on one node, on which every read would depend.
        self._history = [] if keys.hash_tags else [_EPOCH]
        self._held = commands.shared(self._ask_held, most=_SHARED)
        self._closer = commands.shared(self._ask_closer, most=_SHARED)

    async def read(
        self, chain_id: ChainId, addresses: Sequence[Address], *, counted: bool
    ) -> dict[Address, ReadAnswer]:
        """Answer for each predicate; counted: as hits, stale ones and misses."""
        answers: dict[Address, ReadAnswer] = dict.fromkeys(addresses, _MISSING)
        knowns = [self._memory.of(chain_id, address) for address in answers]
        rest = self._take_fresh(answers, zip(knowns, await self._held.ask(knowns), strict=True))
        if rest:
            found = list(zip(rest, await self._closer.ask(rest), strict=True))
            unreadable: list[ScriptCall] = []
            for known, closer in found:
                answers[known.address] = self._judge(known, closer, unreadable)
            if unreadable:
                await self._commands.run("drop_value", unreadable)
        if counted:
            self._count(chain_id, [answers[known.address] for known in rest], len(answers))
        return answers

    async def not_fresh(
        self, chain_id: ChainId, addresses: Sequence[Address]
    ) -> tuple[Address, ...]:
        """Return those that a reader would have to wait for, each once, in order.

        Where there is no value, or a flag stands, nothing is fresh: only another writer's value,
        or one of another history, takes the closer look.
        """
        knowns = [self._memory.of(chain_id, address) for address in dict.fromkeys(addresses)]
        if not knowns:
            return ()
        wanting, unclear = set[Address](), list[Address]()
        for known, held in zip(knowns, await self._held.ask(knowns), strict=True):
            _, raw, *flags = held
            if raw is None or flags != [None, None]:
                wanting.add(known.address)
            elif self._fresh_value(known, held) is None:
                unclear.append(known.address)
        if unclear:
            answers = await self.read(chain_id, unclear, counted=False)
            wanting.update(a for a, answer in answers.items() if not isinstance(answer, Fresh))
        return tuple(known.address for known in knowns if known.address in wanting)

    def _take_fresh(
        self, answers: dict[Address, ReadAnswer], held: Iterable[tuple[Known, Held]]
    ) -> list[Known]:
        """Answer what is a fresh value of ours; return the others."""
        now_ms = self._clock.now_ms()
        rest = []
        for known, one in held:
            value = self._fresh_value(known, one)
            if value is None:
                rest.append(known)
            else:
                answers[known.address] = own_fresh(value, now_ms)
        return rest

    @staticmethod
    def _fresh_value(known: Known, held: Held) -> Decoded | None:
        """Return what is held, if it is a fresh value of ours.

        Fresh is: no flag, and written in the server's present history. After a restart or a
        failover the server may have lost an invalidation; what was written before is then only
        the last known.
        """
        epoch, raw, chain_flag, global_flag = held
        if raw is None or chain_flag is not None or global_flag is not None:
            return None
        try:
            value = known.decode(raw)
        except PoisonedValueError:
            return None  # counted at the closer look
        return value if value.epoch == epoch is not None else None

    async def _ask_held(self, knowns: Sequence[Known]) -> list[Held]:
        """Ask for values and flags: one moment's truth of all of them, in one command."""
        if not knowns:
            return []
        names = self._history.copy()
        for known in knowns:
            names += known.names
        epoch, texts = self._part(await self._get(names))
        return list(zip(repeat(epoch), texts[::3], texts[1::3], texts[2::3]))

    def _part(self, texts: Sequence[bytes | None]) -> tuple[str | None, Sequence[bytes | None]]:
        """Part the name of the server's history from what was asked behind it."""
        if not self._history:
            return "none", texts
        raw, *rest = texts
        return None if raw is None else raw.decode("utf-8", "replace"), rest

    async def _get(self, names: Sequence[bytes]) -> Sequence[bytes | None]:
        if not self._clock.must_ask():
            return await self._commands.get_many(names)
        taken = self._counters.take()
        counting = self._counters.commands(taken)
        # On a cluster the counts are on one node, on which no read must depend.
        apart = counting if self._keys.hash_tags else []
        try:
            time, texts, *_ = await self._commands.batch(
                [("TIME",), ("MGET", *names), *([] if apart else counting)]
            )
        except CacheUnavailableError:
            self._counters.give_back(taken)
            raise
        _refuse(time, texts)
        self._clock.learn(time)
        if apart:
            await self._count_apart(taken, apart)
        found: list[bytes | None] = texts
        return found

    async def _count_apart(self, taken: Mapping[str, int], counting: Sequence[Command]) -> None:
        try:
            await self._commands.batch(counting)
        except CacheUnavailableError:
            self._counters.give_back(taken)

    async def _ask_closer(self, knowns: Sequence[Known]) -> list[_Closer]:
        """Ask for all there is.

        Value and flags are looked at again, in one moment with the last known snapshot: what was
        published since the first trip is then seen whole. The states come first: what changes
        after them shows in the flags and values behind.
        """
        states: list[Command] = [("HMGET", known.state_name, *STATE_FIELDS) for known in knowns]
        names = self._history.copy()
        for known in knowns:
            names += known.closer_names
        *fields, answer = await self._commands.batch([*states, ("MGET", *names)])
        _refuse(answer)
        epoch, texts = self._part(answer)
        held = zip(repeat(epoch), texts[1::4], texts[2::4], texts[3::4])
        return list(zip(fields, texts[::4], held, strict=True))

    def _judge(self, known: Known, closer: _Closer, unreadable: list[ScriptCall]) -> ReadAnswer:
        """Say what all that is there is worth; name the value if nobody can read it."""
        state, last_known, held = closer
        now_ms = self._clock.now_ms()
        value = self._fresh_value(known, held)
        if value is not None:
            return own_fresh(value, now_ms)
        _, raw, chain_flag, global_flag = held
        flagged = chain_flag is not None or global_flag is not None
        value = self._decode(known, raw)
        if raw is not None and value is None:
            digest = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
            unreadable.append(((known.names[0],), (digest,)))
        return judge(
            Found(value, flagged),
            self._decode(known, last_known),
            State.parse(state),
            now_ms=now_ms,
            foreign_skew_ms=self._foreign_skew_ms,
        )

    def _decode(self, known: Known, raw: bytes | None) -> Decoded | None:
        try:
            return None if raw is None else known.decode(raw)
        except PoisonedValueError:
            self._counters.count("poisoned")
            self._measures.cache_failed("poisoned")
            return None

    def _count(self, chain_id: ChainId, closer: Sequence[ReadAnswer], read: int) -> None:
        """Count what readers met; what took no closer look was a hit."""
        # Without a generator where nothing took one: it is on the read path.
        met = Counter(_outcome(answer) for answer in closer) if closer else _NONE_MET
        hits = read - len(closer) + met["hit"] + met["foreign"]
        expired, invalidated, misses = met["expired"], met["invalidated"], met["miss"]
        self._counters.count("hits", hits)
        if closer:
            self._counters.count("foreign", met["foreign"])
            self._counters.count("stale", expired + invalidated)
            self._counters.count("stale_invalidated", invalidated)
            self._counters.count("misses", misses)
        self._measures.looked(
            chain_id, hits=hits, expired=expired, invalidated=invalidated, misses=misses
        )


def _outcome(answer: ReadAnswer) -> str:
    if isinstance(answer, Fresh):
        return "foreign" if answer.stored.foreign else "hit"
    if isinstance(answer, Stale):
        return "invalidated" if answer.reason is StaleReason.INVALIDATED else "expired"
    return "miss"


_MISSING = Missing()
_NONE_MET = Counter(hit=0, foreign=0, expired=0, invalidated=0, miss=0)
_EPOCH = EPOCH.encode()


def _refuse(*answers: Any) -> None:
    with refusals():
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer
