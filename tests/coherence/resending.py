"""A process that sends whole answers again while nothing has changed, as the API's hot path does.

The production code runs that decides what is unchanged (`cache.versions`) and its connection. What
the API adds (an answer's own end, prices) only makes it send less.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from cache.keys import session
from cache.tracking_connection import TrackingConnection, pack
from cache.versions import Question, Versions
from domain.values import Fresh
from tests.cache_support import MAINNET, ManualClock
from tests.coherence.copying import NOWHERE, OursCopied, Wire
from tests.coherence.stepping import Turn
from tests.coherence.world import VAULT, Content, Invalidation, World, content_of

_TOKEN = "a-token"
_SESSION = session(_TOKEN)
_PING = pack(("PING",))
_LOOP = asyncio.new_event_loop()
"""It carries questions to the end of their tick; nothing ever runs in it by itself."""


class SteppedVersions(Versions):
    """Does nothing of its own accord: actors ask, deliver, and lose the link."""

    def __init__(self, wire: Wire, clock: ManualClock) -> None:
        super().__init__(NOWHERE, tracked=True, monotonic=clock)
        self._clock = clock
        self._wire = wire
        self.link()

    def link(self) -> None:
        """Be connected, anew if need be."""
        if self._connection is not None:
            self._connection.close()
        self._connection = TrackingConnection(self._changed, self._lost)
        self._wire.connect(self._connection)

    def ask(self) -> None:
        """Ask whether the server is there."""
        assert self._connection is not None
        ask = partial(self._connection.ask_packed, _PING, partial(self._heard, self._clock()))
        _LOOP.call_soon(ask)
        _run_a_tick()

    async def holds_stepped(self, question: Question) -> bool:
        """Ask Redis now; a turn later all that it has told until its answer arrives."""
        asking = _LOOP.create_task(self.holds(question))
        _run_a_tick()
        await Turn()
        _run_a_tick()  # somebody else may have delivered it
        while not asking.done():
            self._wire.deliver()
            _run_a_tick()
        return asking.result()


def _run_a_tick() -> None:
    _LOOP.run_until_complete(asyncio.sleep(0))


class OursResending(OursCopied):
    """Sends an answer again where `OursCopied` reads from its copy."""

    copy: SteppedVersions  # type: ignore[assignment]  # actors ask, link and lose it all the same
    kept: tuple[Question, Content] | None = None

    def _equip(self, store: Any) -> None:
        self.copy = store.versions = SteppedVersions(self.wire, self.time)

    async def read_here(self, world: World) -> None:
        """Send the last answer again if it holds; else answer as the route does."""
        started = world.now
        if self.kept is not None and await self._is_unchanged(world, started):
            world.copied_reads += 1
            world.check_fresh(self.kept[1], MAINNET, started)
            return
        raw = await Turn(("GET", _SESSION))
        if raw is None:
            return  # signed out: the route says no
        answer = (await self.copying.read(MAINNET, [VAULT]))[VAULT]
        self._tell(world, before=started)
        if isinstance(answer, Fresh):
            content = content_of(answer.stored.snapshot.balances)
            world.check_fresh(content, MAINNET, started)
            self._keep(answer, content, raw)

    async def _is_unchanged(self, world: World, started: int) -> bool:
        assert self.kept is not None
        if self.copy.is_held(self.kept[0]):
            return True
        holds = await self.copy.holds_stepped(self.kept[0])
        self._tell(world, before=started)  # Redis itself said so
        return holds

    def _keep(self, answer: Fresh, content: Content, raw: bytes) -> None:
        self.copy.forget([VAULT])
        if self.kept is not None:
            self.copy.drop(self.kept[0])
        stored = answer.stored
        vault = (MAINNET, VAULT, stored.timestamp_ms, stored.version)
        self.kept = self.copy.question(_TOKEN, raw, b"", [vault]), content
        self.copy.remember(self.kept[0])

    async def sign_in(self) -> None:
        await Turn(("SET", _SESSION, "a-session"))

    async def sign_out(self, world: World) -> None:
        """What this session has been answered must not be sent again."""
        started = world.now
        await Turn(("DEL", _SESSION))
        self.untold.append(Invalidation((MAINNET,), None, started, world.now))
