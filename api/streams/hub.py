"""The one reader of changes in a process: reads a changed vault once, tells all its streams."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import structlog

from api.prices import Prices
from api.streams.events import EventId, Position, parse_position
from api.streams.feed import Feed
from api.streams.journal import Journal, Place
from api.streams.states import VaultState
from cache.changes import START, Change, ChangeKind
from domain.errors import BalanceCacheError, CacheUnavailableError
from domain.ports import Served, Source
from domain.values import Address, ChainId, Lane, Missing
from runtime.assembly import Runtime

_REMEMBERED = 10_000
"""Changed predicates that are remembered: as many as the stream in Redis remembers changes."""

_PORTION = 500
_REFILLED_AT_ONCE = 1_000
_MARK_SECONDS = 60.0
_RECONNECT_SECONDS = 0.5
_READY_SECONDS = 2.0
_SILENT_SECONDS = 2.0
"""After so long without Redis readers are told that news may be missing."""

_log = structlog.get_logger(__name__)


class Hub:
    """Follows the stream of changes for all open streams of a process.

    Attributes:
        position: every change up to here was told; None: Redis has not answered yet.
        epoch: the name of the history that the positions belong to.
    """

    def __init__(self, runtime: Runtime, prices: Prices) -> None:
        self._runtime = runtime
        self._prices = prices
        self._feeds: defaultdict[Place, dict[Feed, None]] = defaultdict(dict)
        self._journal = Journal(_REMEMBERED)
        self._ticket = 0
        self._ready = asyncio.Event()
        self._heard_at = time.monotonic()
        self._marked_at = float("-inf")
        self._refill: asyncio.Task[object] | None = None
        self.position: Position | None = None
        self.epoch: str | None = None
        self.is_live = True

    def watch(self, feed: Feed, addresses: Iterable[Address]) -> None:
        """Tell this stream of changes of these predicates."""
        for address in addresses:
            self._feeds[feed.chain_id, address][feed] = None

    def unwatch(self, feed: Feed, addresses: Iterable[Address]) -> None:
        """Tell it no longer."""
        for address in addresses:
            place = (feed.chain_id, address)
            self._feeds[place].pop(feed, None)
            if not self._feeds[place]:
                del self._feeds[place]

    def ticket(self) -> int:
        """Return a number for a read that begins now; later reads have greater ones."""
        self._ticket += 1
        return self._ticket

    def event_id(self, feed: Feed) -> EventId | None:
        """Return the id of all that has been told up to now."""
        if self.position is None:
            return None
        return EventId(self.position, feed.subject(self.epoch))

    async def ready(self) -> None:
        """Return when the stream of changes is being followed, or cannot be for now."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READY_SECONDS):
                await self._ready.wait()

    def missed(self, feed: Feed, after: EventId) -> set[Place] | None:
        """Return what changed after an id; None: nobody knows, the reader must begin anew."""
        if self.position is None or after.position > self.position:
            return None
        if after.subject != feed.subject(self.epoch):
            return None
        return self._journal.changed_since(after.position, feed.places)

    async def states(
        self, chain_id: ChainId, served: Mapping[Address, Served]
    ) -> dict[Address, VaultState]:
        """Return what is told of answers."""
        pricing = await self._prices.of_chain(chain_id)
        return {a: VaultState(a, chain_id, one, pricing) for a, one in served.items()}

    async def follow(self) -> None:
        """Follow the changes for ever."""
        while True:
            try:
                await self._align()
                while True:
                    changes = await self._runtime.changes.read(self._after())
                    await self._tell(changes)
                    self._heard()
            except CacheUnavailableError:
                self._unheard()
            except BalanceCacheError as error:
                _log.warning("stream_follower_failed", error=str(error))
            await asyncio.sleep(_RECONNECT_SECONDS)

    def _after(self) -> str:
        return START if self.position is None else "{}-{}".format(*self.position)

    async def _align(self) -> None:
        """Find out what the stream holds; after a gap nothing is known of before."""
        extent = await self._runtime.changes.extent()
        first = None if extent.first is None else parse_position(extent.first)
        last = parse_position(extent.last or START)
        self.epoch = extent.epoch
        if self.position is None:
            self._journal.begin(first)
            await self._read_up_to(last)
        elif first is None or not first <= self.position <= last:
            self._journal.begin(first)
            self.position = last
        self._heard()
        self._ready.set()
        await self.look()

    async def _read_up_to(self, last: Position) -> None:
        """Learn what has changed lately, so that readers may resume at a new process too."""
        position = parse_position(START)
        while position < last:
            changes = await self._runtime.changes.read("{}-{}".format(*position))
            if not changes:
                break
            for change in changes:
                position = parse_position(change.position)
                self._journal.note((change.chain_id, change.address), position)
        self.position = position

    async def _tell(self, changes: Sequence[Change]) -> None:
        """Read what changed, once each, and tell it to all who want to know."""
        changed: defaultdict[ChainId, dict[Address, bool]] = defaultdict(dict)
        for change in changes:
            if (change.chain_id, change.address) in self._feeds:
                outdated = changed[change.chain_id].get(change.address, False)
                outdated |= change.kind is ChangeKind.INVALIDATED
                changed[change.chain_id][change.address] = outdated
        read = [
            (chain_id, addresses, self.ticket(), await self._read(chain_id, list(addresses)))
            for chain_id, addresses in changed.items()
        ]
        # From here on in one go: the position moves when everything up to it is told.
        for chain_id, addresses, ticket, states in read:
            for address, outdated in addresses.items():
                for feed in self._feeds.get((chain_id, address), ()):
                    if outdated:
                        feed.outdate(address)
                    feed.put(ticket, states[address])
        for change in changes:
            self.position = parse_position(change.position)
            self._journal.note((change.chain_id, change.address), self.position)

    async def _read(
        self, chain_id: ChainId, addresses: Sequence[Address]
    ) -> dict[Address, VaultState]:
        answers = await self._runtime.cache.read(chain_id, addresses, counted=False)
        served = {address: Served(answer, Source.CACHE) for address, answer in answers.items()}
        lost = [address for address, answer in answers.items() if isinstance(answer, Missing)]
        if lost:  # as every reader does: the database may still know, and it is fetched behind
            reader = self._runtime.reader(chain_id)
            served |= await reader.read_many(lost, allow_stale=True, wait_seconds=0)
        return await self.states(chain_id, served)

    async def look(self) -> None:
        """Read all watched vaults: not every change is told of.

        A fresh life ends silently, and so do foreign writers change values. What is not fresh is
        fetched behind, for nobody else may read it.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        by_chain: defaultdict[ChainId, list[Address]] = defaultdict(list)
        for chain_id, address in self._feeds:
            by_chain[chain_id].append(address)
        marks = time.monotonic() - self._marked_at >= _MARK_SECONDS
        for chain_id, addresses in by_chain.items():
            rest = iter(addresses)
            stale: list[Address] = []
            while portion := list(islice(rest, _PORTION)):
                stale += await self._look_at(chain_id, portion)
                if marks:  # who is looked at stays hot, as if read
                    await self._runtime.cache.mark_read(chain_id, portion)
            self._fetch_behind(chain_id, stale[:_REFILLED_AT_ONCE])
        if marks and by_chain:
            self._marked_at = time.monotonic()

    async def _look_at(self, chain_id: ChainId, addresses: Sequence[Address]) -> list[Address]:
        ticket = self.ticket()
        states = await self._read(chain_id, addresses)
        for address, state in states.items():
            for feed in self._feeds.get((chain_id, address), ()):
                if feed.has_told(address):  # else: its first read is under way
                    feed.put(ticket, state)
        return [address for address, state in states.items() if not state.is_fresh]

    def _fetch_behind(self, chain_id: ChainId, addresses: Sequence[Address]) -> None:
        if addresses and (self._refill is None or self._refill.done()):
            reader = self._runtime.reader(chain_id)
            self._refill = self._runtime.background.start(
                reader.refill(addresses, lane=Lane.REFRESH)
            )

    def _heard(self) -> None:
        self._heard_at = time.monotonic()
        self._set_live(live=True)

    def _unheard(self) -> None:
        if time.monotonic() - self._heard_at >= _SILENT_SECONDS:
            self._set_live(live=False)

    def _set_live(self, *, live: bool) -> None:
        if self.is_live == live:
            return
        self.is_live = live
        _log.warning("streams_live" if live else "streams_interrupted")
        for feed in {feed for feeds in self._feeds.values() for feed in feeds}:
            feed.say("live", {"live": live})
