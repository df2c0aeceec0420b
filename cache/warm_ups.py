"""Vaults that wait for a warm-up, collected so that logins that come together share requests.

Keys, each with a life of a few minutes; ``{c}`` is a chain id in literal braces (one slot of a
cluster), ``{lane}`` is ``now`` or ``later``: ``bc:warm:{c}:{lane}:waiting|until|taken|attempts|
failed|tickets`` and ``bc:warm:{c}:{lane}:part:{token}`` and ``bc:warm:{c}:calls`` as
``scripts/warm.lua`` describes them; ``bc:warm:plan:{user}:{chain id}`` (string, JSON) holds what a
user's last login asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from cache.commands import Argument, Commands
from cache.lives import milliseconds
from domain.values import Address, ChainId

WISH_SECONDS = 120
"""After this nobody waits for a warm-up any more: what still waits is dropped, not fetched."""

PART_SECONDS = 35
"""After this a part whose process died comes back: longer than a subtask may take."""

TICKET_SECONDS = 20
"""After this a message that was announced and never came is announced again."""

PLAN_SECONDS = 600
MOST_ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0

_WAITS, _FETCHING, _FAILED = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where vaults wait: one lane of one chain.

    Attributes:
        chain_id: the chain.
        later: the lower lane.
        request_size: vaults that one node request carries.
    """

    chain_id: ChainId
    later: bool
    request_size: int

    def keys(self, token: str) -> tuple[str, ...]:
        """Return the keys in the script's order."""
        chain = f"bc:warm:{{{self.chain_id}}}"
        lane = f"{chain}:{'later' if self.later else 'now'}"
        own = ("waiting", "until", "taken", "attempts", "failed", "tickets")
        return (*(f"{lane}:{name}" for name in own), f"{chain}:calls", f"{lane}:part:{token}")


@dataclass(frozen=True, slots=True)
class Tickets:
    """Messages to publish now, each of which will take a part.

    Attributes:
        count: how many.
        delay_seconds: with which delay.
    """

    count: int = 0
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class WarmUpProgress:
    """How far the warm-up of a user's last login is, on one chain.

    Attributes:
        total: predicates that it asked for.
        done: nothing is left to do for them: fetched, fresh already, or no longer waited for.
        failed: the node did not give them; a reader asks again.
    """

    total: int
    done: int
    failed: int

    @property
    def finished(self) -> bool:
        """Nothing waits and nothing is being fetched."""
        return self.done + self.failed == self.total


class WarmUps:
    """Collects, hands out in parts, and tells how far a user's warm-up is.

    Every method raises `CacheUnavailableError` when Redis does not answer. The ``token`` names
    the message that works: the same token again is the same message, delivered again.

    Args:
        client: the cache's.
        concurrency: node requests of warm-ups under way at once on one chain, over all processes.
        wish_seconds: how long a vault is waited for.
        part_seconds: when a part whose process died comes back.
        pause_seconds: how long a vault waits after its first failure.
    """

    def __init__(
        self,
        client: Redis,
        concurrency: int,
        *,
        wish_seconds: float = WISH_SECONDS,
        part_seconds: float = PART_SECONDS,
        pause_seconds: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        self._commands = Commands(client)
        self._concurrency = concurrency
        self._wish_ms = milliseconds(wish_seconds)
        self._part_ms = milliseconds(part_seconds)
        self._pause_ms = milliseconds(pause_seconds)

    async def offer(self, shelf: Shelf, token: str, addresses: Sequence[Address]) -> Tickets:
        """Let these vaults wait, unless they do so already."""
        _, tickets = await self._run("offer", shelf, token, addresses)
        return tickets

    async def take(self, shelf: Shelf, token: str) -> tuple[tuple[Address, ...], Tickets]:
        """Take a request's worth of vaults; none: nothing is ready, or enough is under way."""
        return await self._run("take", shelf, token, ())

    async def settle(
        self,
        shelf: Shelf,
        token: str,
        *,
        done: Sequence[Address],
        given_up: Sequence[Address],
        again: Sequence[Address],
    ) -> Tickets:
        """Say what became of a part; what is to be tried again waits longer each time."""
        arguments = (
            len(done),
            len(given_up),
            len(again),
            MOST_ATTEMPTS,
            self._pause_ms,
            milliseconds(LONGEST_PAUSE_SECONDS),
        )
        _, tickets = await self._run("settle", shelf, token, (*arguments, *done, *given_up, *again))
        return tickets

    async def waiting(self, shelf: Shelf) -> int:
        """Return how many vaults wait or are being fetched."""
        waiting, _, taken, *_ = shelf.keys("")
        return sum(await self._commands.batch([("ZCARD", waiting), ("ZCARD", taken)]))

    async def note_plan(
        self, user_id: str, chain_id: ChainId, addresses: Sequence[Address]
    ) -> None:
        """Remember what a login asked for, so that its progress can be told."""
        plan = json.dumps(list(addresses))
        key = _plan_key(user_id, chain_id)
        await self._commands.batch([("SET", key, plan, "EX", PLAN_SECONDS)])

    async def progress(self, user_id: str, chain_id: ChainId) -> WarmUpProgress | None:
        """Return how far the user's last warm-up is; None: none is remembered."""
        (plan,) = await self._commands.get_many([_plan_key(user_id, chain_id)])
        if plan is None:
            return None
        addresses: list[Address] = json.loads(plan)
        if not addresses:
            return WarmUpProgress(0, 0, 0)
        shelves = (Shelf(chain_id, later, 1) for later in (False, True))
        lanes = [await self._call("progress", shelf, "", addresses) for shelf in shelves]
        states = [_joined(pair) for pair in zip(*lanes, strict=True)]
        left = sum(state in (_WAITS, _FETCHING) for state in states)
        failed = states.count(_FAILED)
        return WarmUpProgress(len(states), len(states) - left - failed, failed)

    async def _run(
        self, what: str, shelf: Shelf, token: str, rest: Sequence[Argument]
    ) -> tuple[tuple[Address, ...], Tickets]:
        addresses, count, delay_ms = await self._call(what, shelf, token, rest)
        return tuple(a.decode() for a in addresses), Tickets(count, delay_ms / 1000)

    async def _call(
        self, what: str, shelf: Shelf, token: str, rest: Sequence[Argument]
    ) -> list[Any]:
        arguments: list[Argument] = [
            what,
            token,
            shelf.request_size,
            self._concurrency,
            self._wish_ms,
            milliseconds(TICKET_SECONDS),
            self._part_ms,
            *rest,
        ]
        [answer] = await self._commands.run("warm", [(shelf.keys(token), arguments)])
        found: list[Any] = answer
        return found


def _joined(states: tuple[int, int]) -> int:
    """Return the state that counts: what is still worked on in either lane, then a failure."""
    for state in (_FETCHING, _WAITS, _FAILED):
        if state in states:
            return state
    return 0


def _plan_key(user_id: str, chain_id: ChainId) -> str:
    name = hashlib.sha256(user_id.encode()).hexdigest()[:32]
    return f"bc:warm:plan:{name}:{chain_id}"
