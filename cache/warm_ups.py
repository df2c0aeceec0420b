"""Vaults that wait for a warm-up, collected so that logins that come together share requests.

Keys, each with a life of a few minutes; ``{c}`` is a chain id in literal braces (one slot of a
cluster), ``{lane}`` is ``now`` or ``later``: ``bc:warm:{c}:{lane}:waiting|until|taken|tickets`` and
``bc:warm:{c}:{lane}:part:{token}`` and ``bc:warm:{c}:attempts|failed|calls`` as
``scripts/warm.lua`` describes them; ``bc:warm:plan:{user}:{chain id}`` (string, JSON) holds what
a user's last login asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple
from uuid import uuid4

from redis.asyncio import Redis

from cache.commands import PORTION, Argument, Command, Commands, ScriptCall
from cache.counters import Counters
from cache.lives import milliseconds
from domain.values import Address, ChainId

WISH_SECONDS = 120
"""After this nobody waits for a warm-up any more: what still waits is dropped, not fetched."""

PART_SECONDS = 35
"""After this a part whose process died comes back: longer than a subtask may take."""

TICKET_SECONDS = 20
"""After this a message that was announced and never came is announced again."""

PLAN_SECONDS = 600
"""How long a login's plan is remembered, and what has failed of it."""

MOST_ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0


class UnitState(Enum):
    """How far one predicate of a warm-up is; what is named first counts when lanes differ."""

    FETCHING = 2
    WAITING = 1
    FAILED = 3
    DONE = 0


class ShelfKeys(NamedTuple):
    """The keys of one lane of one chain, in the order of ``scripts/warm.lua``, which tells them."""

    waiting: str
    until: str
    taken: str
    attempts: str
    failed: str
    tickets: str
    calls: str
    part: str


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

    def keys(self, token: str) -> ShelfKeys:
        """Return the keys for the message of this token."""
        chain = f"bc:warm:{{{self.chain_id}}}"
        lane = f"{chain}:{'later' if self.later else 'now'}"
        return ShelfKeys(
            waiting=f"{lane}:waiting",
            until=f"{lane}:until",
            taken=f"{lane}:taken",
            attempts=f"{chain}:attempts",
            failed=f"{chain}:failed",
            tickets=f"{lane}:tickets",
            calls=f"{chain}:calls",
            part=f"{lane}:part:{token}",
        )


@dataclass(frozen=True, slots=True)
class Tickets:
    """Messages to publish now, each of which will take a part.

    Attributes:
        count: how many.
        delay_seconds: with which delay.
        full: a whole request waits and may begin now, without any message.
    """

    count: int = 0
    delay_seconds: float = 0.0
    full: bool = False


@dataclass(frozen=True, slots=True)
class WarmUpUnit:
    """One predicate of a warm-up.

    Attributes:
        address: the predicate.
        state: how far it is.
        failures: how often the node did not give it since it waits.
    """

    address: Address
    state: UnitState
    failures: int


@dataclass(frozen=True, slots=True)
class WarmUpProgress:
    """How far the warm-up of a user's last login is, on one chain.

    Attributes:
        total: predicates that it asked for.
        done: fetched, or fresh already.
        failed: the node did not give them, or nobody came to fetch them in time; a reader asks
            again.
    """

    total: int
    done: int
    failed: int

    @property
    def finished(self) -> bool:
        """Nothing waits and nothing is being fetched."""
        return self.done + self.failed == self.total


@dataclass(frozen=True, slots=True, eq=False)
class _Login:
    """One login; the same user's next one is another."""

    user_id: str
    chain_ids: Sequence[ChainId]
    plan: str


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
        self._failed_ms = milliseconds(PLAN_SECONDS)
        # Logins that come at one time share round trips.
        self._offers = self._commands.shared(self._offer, most=PORTION)
        self._logins = self._commands.shared(self._note, most=PORTION)

    async def offer(self, shelf: Shelf, token: str, addresses: Sequence[Address]) -> Tickets:
        """Let these vaults wait, unless they do so already."""
        [told] = await self._offers.ask([self._script_call("offer", shelf, token, addresses)])
        return _tickets(told)

    async def take(self, shelf: Shelf, token: str) -> tuple[tuple[Address, ...], Tickets]:
        """Take a request's worth of vaults; none: nothing is ready, or enough is under way."""
        return await self._run("take", shelf, token, ())

    async def take_full(self, shelf: Shelf) -> tuple[str, tuple[Address, ...]]:
        """Take a whole request's worth of vaults, and its token; none: it is not full, or not now.

        No message stands for this part: should its process die, a ticket that is out, or that
        will be, finds it when it comes back.
        """
        token = f"behind:{uuid4().hex}"
        addresses, _ = await self._run("take_full", shelf, token, ())
        return token, addresses

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
        keys = shelf.keys("")
        return sum(await self._commands.batch([("ZCARD", keys.waiting), ("ZCARD", keys.taken)]))

    async def note_logins(
        self, wanted: Mapping[str, Sequence[Address]], chain_ids: Sequence[ChainId]
    ) -> None:
        """Count logins and remember what each asked for, so that its progress can be told.

        Args:
            wanted: the vaults of each user.
            chain_ids: the chains they are wanted on.
        """
        await self._logins.ask(
            [_Login(user_id, chain_ids, json.dumps(list(plan))) for user_id, plan in wanted.items()]
        )

    async def _note(self, logins: Sequence[_Login]) -> list[None]:
        plans: list[Command] = [
            ("SET", _plan_key(login.user_id, chain_id), login.plan, "EX", PLAN_SECONDS)
            for login in logins
            for chain_id in login.chain_ids
        ]
        await self._commands.batch([*plans, *Counters.commands({"warmups": len(logins)})])
        return [None] * len(logins)

    async def progress(self, user_id: str, chain_id: ChainId) -> WarmUpProgress | None:
        """Return how far the user's last warm-up is; None: none is remembered."""
        units = await self.units(user_id, chain_id)
        if units is None:
            return None
        states = [unit.state for unit in units]
        done, failed = states.count(UnitState.DONE), states.count(UnitState.FAILED)
        return WarmUpProgress(len(states), done, failed)

    async def units(self, user_id: str, chain_id: ChainId) -> Sequence[WarmUpUnit] | None:
        """Return each predicate of the user's last warm-up; None: none is remembered."""
        (plan,) = await self._commands.get_many([_plan_key(user_id, chain_id)])
        if plan is None:
            return None
        addresses: list[Address] = json.loads(plan)
        if not addresses:
            return ()
        shelves = (Shelf(chain_id, later, 1) for later in (False, True))
        lanes = [await self._call("progress", shelf, "", addresses) for shelf in shelves]
        return [
            _unit(address, [lane[2 * at : 2 * at + 2] for lane in lanes])
            for at, address in enumerate(addresses)
        ]

    async def _run(
        self, what: str, shelf: Shelf, token: str, rest: Sequence[Argument]
    ) -> tuple[tuple[Address, ...], Tickets]:
        told = await self._call(what, shelf, token, rest)
        return tuple(address.decode() for address in told[0]), _tickets(told)

    async def _call(
        self, what: str, shelf: Shelf, token: str, rest: Sequence[Argument]
    ) -> list[Any]:
        [answer] = await self._commands.run("warm", [self._script_call(what, shelf, token, rest)])
        found: list[Any] = answer
        return found

    async def _offer(self, calls: Sequence[ScriptCall]) -> list[list[Any]]:
        return await self._commands.run("warm", calls)

    def _script_call(
        self, what: str, shelf: Shelf, token: str, rest: Sequence[Argument]
    ) -> ScriptCall:
        return shelf.keys(token), (
            what,
            token,
            shelf.request_size,
            self._concurrency,
            self._wish_ms,
            milliseconds(TICKET_SECONDS),
            self._part_ms,
            self._failed_ms,
            *rest,
        )


def _tickets(told: Sequence[Any]) -> Tickets:
    _, count, delay_ms, full = told
    return Tickets(count, delay_ms / 1000, bool(full))


def _unit(address: Address, told: Sequence[Sequence[int]]) -> WarmUpUnit:
    """Join what the lanes tell of one predicate."""
    states = {UnitState(state) for state, _ in told}
    state = next(state for state in UnitState if state in states)
    return WarmUpUnit(address, state, max(failures for _, failures in told))


def _plan_key(user_id: str, chain_id: ChainId) -> str:
    name = hashlib.sha256(user_id.encode()).hexdigest()[:32]
    return f"bc:warm:plan:{name}:{chain_id}"
