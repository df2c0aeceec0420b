"""When each hot predicate is refreshed, and within what budget, in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cache.codec import PoisonedValueError, decode
from cache.commands import Argument, Command, Commands
from cache.hot import hot_keys
from cache.judging import STATE_FIELDS, State
from cache.keys import Keys
from cache.lives import Lives, milliseconds
from domain.refreshing import (
    LEAST_PRICE,
    Appointment,
    Candidate,
    ChangeRecord,
    Claim,
    RefreshRules,
    faded,
)
from domain.values import Address, ChainId, StoredSnapshot

CLAIM_SECONDS = 30.0
"""After this what a run that died had claimed is due for the next one."""

CALLS_IN_A_RUN = 10
"""A run is one task: it must end within its deadline also when the node is slow."""


class RedisRefreshSchedule:
    """`domain.ports.RefreshSchedule` on Redis, beside the hot set that readers fill."""

    def __init__(self, commands: Commands, keys: Keys, lives: Lives) -> None:
        self._commands = commands
        self._keys = keys
        self._lives = lives

    async def claim(self, chain_id: ChainId, rules: RefreshRules) -> Claim:
        """Take predicates that are due, and node calls of the budget."""
        keys = (*hot_keys(self._keys, chain_id), self._keys.refresh(chain_id))
        arguments: list[Argument] = [
            milliseconds(self._lives.hot_life_seconds),
            str(rules.calls_per_minute),
            str(rules.calls_at_once),
            rules.batch_size,
            CALLS_IN_A_RUN,
            milliseconds(rules.ahead_seconds),
            milliseconds(CLAIM_SECONDS),
            str(LEAST_PRICE),
        ]
        [answer] = await self._commands.run("claim", [(keys, arguments)])
        now_ms, price, calls, left, number_due, names, reads, records = answer
        addresses = [name.decode() for name in names]
        looks = await self._look(chain_id, addresses, int(now_ms))
        memory = self._lives.read_memory_seconds
        candidates = [
            Candidate(
                address=address,
                reads=_reads(read, int(now_ms), memory),
                record=_record(record),
                due=at < number_due,
                **look,
            )
            for at, (address, read, record, look) in enumerate(
                zip(addresses, reads, records, looks, strict=True)
            )
        ]
        return Claim(candidates, float(price), int(calls), int(left), memory)

    async def settle(
        self,
        chain_id: ChainId,
        appointments: Sequence[Appointment],
        *,
        price: float,
        unused_calls: int,
        rules: RefreshRules,
    ) -> None:
        """Make appointments, keep the price, and give back the calls that were not made."""
        keys = (
            self._keys.due(chain_id),
            self._keys.watched(chain_id),
            self._keys.refresh(chain_id),
        )
        arguments: list[Argument] = [
            f"{price:.6f}",
            unused_calls,
            str(rules.calls_at_once),
            milliseconds(self._lives.hot_life_seconds),
        ]
        for one in appointments:
            record = one.record
            arguments += (
                one.address,
                milliseconds(one.delay_seconds),
                "" if record is None else f"{record.changes:.4f}:{record.watched_seconds:.0f}",
            )
        await self._commands.run("settle", [(keys, arguments)])

    async def _look(
        self, chain_id: ChainId, addresses: Sequence[Address], now_ms: int
    ) -> list[dict[str, Any]]:
        """Look at what is stored, without counting it as reads."""
        commands: list[Command] = []
        for address in addresses:
            commands += (
                ("GET", self._keys.last_known(address, chain_id)),
                ("EXISTS", self._keys.value(address, chain_id)),
                ("HMGET", self._keys.state(address, chain_id), *STATE_FIELDS),
            )
        answers = await self._commands.batch(commands)
        looks = []
        for at, address in enumerate(addresses):
            raw, exists, fields = answers[3 * at : 3 * at + 3]
            stored = _stored(raw, address, chain_id)
            looks.append(
                {
                    "stored": stored,
                    "age_seconds": _age(stored, now_ms),
                    "fresh": exists == 1,
                    "announced": State.parse(fields).is_invalidated,
                }
            )
        return looks


def _stored(raw: object, address: Address, chain_id: ChainId) -> StoredSnapshot | None:
    if not isinstance(raw, bytes):
        return None
    try:
        return decode(raw, address, chain_id).stored
    except PoisonedValueError:
        return None


def _age(stored: StoredSnapshot | None, now_ms: int) -> float | None:
    return None if stored is None else max(0.0, (now_ms - stored.timestamp_ms) / 1000)


def _reads(raw: bytes, now_ms: int, memory_seconds: float) -> float:
    count, at_ms = _pair(raw)
    return faded(count, (now_ms - at_ms) / 1000, memory_seconds)


def _record(raw: bytes) -> ChangeRecord:
    return ChangeRecord(*_pair(raw))


def _pair(raw: bytes) -> tuple[float, float]:
    """Read ``number:number``; what somebody damaged counts as nothing."""
    try:
        first, second = raw.split(b":")
        return float(first), float(second)
    except ValueError:
        return 0.0, 0.0
