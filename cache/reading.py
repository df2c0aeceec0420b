"""The read path: one round trip when all is fresh, a second one for what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from cache.clock import ServerClock
from cache.codec import Decoded, PoisonedValueError
from cache.commands import Command, Commands
from cache.counters import Counters
from cache.failures import unavailable
from cache.judging import STATE_FIELDS, Found, State, judge, own_fresh
from cache.keys import EPOCH, Keys
from cache.known import Known, Memory
from domain.errors import CacheUnavailableError
from domain.values import Address, ChainId, Fresh, Missing, ReadAnswer, Stale


class Reading:
    """Reads many predicates of one chain."""

    def __init__(
        self,
        commands: Commands,
        keys: Keys,
        clock: ServerClock,
        counters: Counters,
        *,
        foreign_skew_ms: int,
    ) -> None:
        self._commands = commands
        self._keys = keys
        self._memory = Memory(keys)
        self._clock = clock
        self._counters = counters
        self._foreign_skew_ms = foreign_skew_ms

    async def read(
        self, chain_id: ChainId, addresses: Sequence[Address], *, counted: bool
    ) -> dict[Address, ReadAnswer]:
        """Answer for each predicate; counted: as hits, stale ones and misses."""
        answers: dict[Address, ReadAnswer] = dict.fromkeys(addresses, _MISSING)
        names: list[bytes] = [_EPOCH]
        knowns = [self._memory.of(chain_id, address) for address in answers]
        for known in knowns:
            names += known.names
        texts = await self._get(names)
        rest = self._take_fresh(answers, knowns, texts)
        if rest:
            answers |= await self._look_closer(chain_id, rest)
        if counted:
            self._count([answers[address] for address in rest])
            self._counters.count("hits", len(answers) - len(rest))
        return answers

    def _take_fresh(
        self,
        answers: dict[Address, ReadAnswer],
        knowns: Sequence[Known],
        texts: Sequence[bytes | None],
    ) -> dict[Address, Found]:
        """Answer what is a fresh value of ours; return what was found of the others.

        Fresh is: no flag, and written in the server's present history. After a restart or a
        failover the server may have lost an invalidation; what was written before is then only
        the last known.
        """
        epoch = "none" if self._keys.hash_tags else _text(texts[0])
        now_ms = self._clock.now_ms()
        rest = {}
        for address, known, raw, chain_flag, global_flag in zip(
            answers, knowns, texts[1::3], texts[2::3], texts[3::3], strict=True
        ):
            value = None if raw is None else self._decode(known, raw)
            flagged = chain_flag is not None or global_flag is not None
            if value is not None and not flagged and value.epoch == epoch is not None:
                answers[address] = own_fresh(value, now_ms)
            else:
                rest[address] = Found(value, flagged)
        return rest

    async def _get(self, names: Sequence[bytes]) -> Sequence[bytes | None]:
        if not self._clock.must_ask():
            return await self._commands.get_many(names)
        taken = self._counters.take()
        try:
            time, texts, *_ = await self._commands.batch(
                [("TIME",), ("MGET", *names), *self._counters.commands(taken)]
            )
        except CacheUnavailableError:
            self._counters.give_back(taken)
            raise
        _refuse(time, texts)
        self._clock.learn(time)
        found: list[bytes | None] = texts
        return found

    async def _look_closer(
        self, chain_id: ChainId, found: Mapping[Address, Found]
    ) -> dict[Address, ReadAnswer]:
        last_known = [self._keys.last_known(address, chain_id) for address in found]
        states: list[Command] = [
            ("HMGET", self._keys.state(address, chain_id), *STATE_FIELDS) for address in found
        ]
        texts, *fields = await self._commands.batch([("MGET", *last_known), *states])
        _refuse(texts)
        now_ms = self._clock.now_ms()
        return {
            address: judge(
                one,
                None if text is None else self._decode(self._memory.of(chain_id, address), text),
                State.parse(state),
                now_ms=now_ms,
                foreign_skew_ms=self._foreign_skew_ms,
            )
            for (address, one), text, state in zip(found.items(), texts, fields, strict=True)
        }

    def _decode(self, known: Known, raw: bytes) -> Decoded | None:
        try:
            return known.decode(raw)
        except PoisonedValueError:
            self._counters.count("poisoned")
            return None

    def _count(self, answers: Sequence[ReadAnswer]) -> None:
        for answer in answers:
            match answer:
                case Fresh():
                    self._counters.count("hits")
                    self._counters.count("foreign")
                case Stale():
                    self._counters.count("stale")
                case Missing():
                    self._counters.count("misses")


_MISSING = Missing()
_EPOCH = EPOCH.encode()


def _refuse(*answers: Any) -> None:
    with unavailable():
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "replace")
