"""A process with a copy beside one without: when the copy hears of what, the scheduler decides.

The production code runs: the copy, its connection, the reading through it. Only the socket is a
plain one. What the server has told lies in a queue until somebody delivers it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import Any, cast

import hiredis
from redis.asyncio import Redis

from cache.copies import TRUSTED_SECONDS, Copies
from cache.local_copy import CopiedReading, LocalCopy
from cache.reading import Reading
from cache.tracking_connection import TrackingConnection, pack
from domain.values import BlockHeight, Fresh
from tests.cache_support import MAINNET, ManualClock
from tests.coherence.stepping import Where, open_socket
from tests.coherence.systems import Ours, bako_invalidate, cleared, ours_on_redis
from tests.coherence.world import VAULT, Content, Invalidation, World, content_of

NOWHERE = Redis(port=1, driver_info=None)
"""A client that opens nothing, and does not look up its own version for each run."""

_MARK = b"all that was told until here"
_ASK_FOR_MARK = pack(("ECHO", _MARK))


class Wire:
    """The far end of tracking connections: one socket for all runs, a queue of what was told."""

    def __init__(self, where: Where) -> None:
        self._socket = open_socket(where)
        self._reader = hiredis.Reader()
        self._connection: TrackingConnection | None = None
        self.told: deque[Any] = deque()
        self.write(b"HELLO 3\r\n")
        self.write(b"CLIENT TRACKING ON\r\n")

    def connect(self, connection: TrackingConnection) -> None:
        """Serve a new connection; what was told before is nobody's business any more."""
        self.hear()
        self.told.clear()
        self._connection = connection
        connection.connection_made(cast("asyncio.Transport", self))

    def write(self, data: bytes) -> None:
        """Send; the server has done it when this returns."""
        self._socket.sendall(data + _ASK_FOR_MARK)
        while (message := self._next()) != _MARK:
            self.told.append(message)

    def abort(self) -> None:
        self._connection = None

    def close(self) -> None:
        self._socket.close()

    def hear(self) -> None:
        """Take over all that the server has told until now."""
        self.write(b"")

    def deliver(self) -> None:
        """Hand on the oldest that was told."""
        self.hear()
        if self.told and self._connection is not None:
            self._connection._apply(self.told.popleft())

    @property
    def is_quiet(self) -> bool:
        """Nothing is left of what had been told by the last `hear`, or `deliver`."""
        return not self.told

    def _next(self) -> Any:
        while (message := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(65_536))
        return message


class SteppedCopy(LocalCopy):
    """Does nothing of its own accord: actors ask, deliver, and lose the link."""

    def __init__(self, wire: Wire, clock: ManualClock) -> None:
        super().__init__(NOWHERE, most_vaults=10)
        self._copies = Copies(10, clock)
        self._wire = wire
        self.link()

    def link(self) -> None:
        """Be connected, anew if need be."""
        if self._connection is not None:
            self._connection.close()
        self._connection = TrackingConnection(self._changed, self._copies.lost)
        self._wire.connect(self._connection)

    def ask(self) -> None:
        """Ask for what readers want; nothing wanted: a heartbeat."""
        if self._wanted:
            self._ask_for_wanted()
        else:
            self._ask({})

    def _begin(self) -> None:
        return

    def _soon(self) -> None:
        return


class OursCopied(Ours):
    """Reads and invalidates in a process that has a copy; fetches and others' acts are elsewhere.

    Attributes:
        time: the monotonic clock of the process with the copy.
        untold: others' invalidations that have returned, and that this process need not know of.
    """

    def __init__(self, wire: Wire) -> None:
        super().__init__(ours_on_redis().cache)
        self.wire = wire
        self.time = ManualClock()
        self.untold: list[Invalidation] = []
        self.copying: Any = ours_on_redis().cache
        self._equip(self.copying)

    def _equip(self, store: Any) -> None:
        self.copy = SteppedCopy(self.wire, self.time)
        reading = store._reading
        assert isinstance(reading, Reading)
        store._copy = self.copy
        store._reading = CopiedReading(
            reading, self.copy, reading._clock, store.counters, reading._measures
        )

    async def read_here(self, world: World) -> None:
        """Read through the copy, and hold the answer to what this process must know."""
        started = world.now
        answer = (await self.copying.read(MAINNET, [VAULT]))[VAULT]
        world.copied_reads += self.copying.counters.take().get("copied", 0)
        if isinstance(answer, Fresh):
            content: Content = content_of(answer.stored.snapshot.balances)
            world.check_fresh(content, MAINNET, started)
        else:  # Redis itself said so: what returned before is known here now
            self._tell(world, before=started)

    async def invalidate_here(self, world: World, height: BlockHeight | None) -> None:
        started = world.now
        with world.leases.ending((MAINNET,)):
            await self.copying.invalidate([VAULT], MAINNET, height)
        world.invalidations.append(Invalidation((MAINNET,), height, started, world.now))

    async def invalidate_there(self, world: World, height: BlockHeight | None) -> None:
        started = world.now
        with world.leases.ending((MAINNET,)):
            await self.cache.invalidate([VAULT], MAINNET, height)
        self.untold.append(Invalidation((MAINNET,), height, started, world.now))

    async def clear_here(self, world: World) -> None:
        started = world.now
        held, _ = await self._looking(self.copying.clear([VAULT], MAINNET), MAINNET)
        world.invalidations += cleared(held, MAINNET, started, world.now)

    async def clear_there(self, world: World) -> None:
        started = world.now
        held, _ = await self._looking(self.cache.clear([VAULT], MAINNET), MAINNET)
        self.untold += cleared(held, MAINNET, started, world.now)

    async def bako_invalidates(self, world: World) -> None:
        started = world.now
        await bako_invalidate(MAINNET, world.now)
        self.untold.append(Invalidation((MAINNET,), None, started, world.now, ours=False))

    def deliver(self, world: World) -> None:
        self.wire.deliver()
        if self.wire.is_quiet:
            self._tell(world, before=world.now)

    def lose_link(self, world: World) -> None:
        """The end of the link is noticed; the next one is there."""
        self.copy.link()
        self._tell(world, before=world.now)

    def pass_time(self, world: World) -> None:
        """Whatever was told or not: so much later nothing from before may be served."""
        self.time.step(TRUSTED_SECONDS)
        self._tell(world, before=world.now)

    def _tell(self, world: World, *, before: int) -> None:
        told = [one for one in self.untold if one.finished <= before]
        self.untold = [one for one in self.untold if one.finished > before]
        world.invalidations += [replace(one, finished=world.now) for one in told]
