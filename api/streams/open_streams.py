"""All open streams of a process: who comes in, what he is told first, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from api.prices import Prices
from api.problems import ProblemError, unavailable
from api.sessions import Authentication
from api.streams.events import EventId
from api.streams.feed import End, Feed
from api.streams.hub import Hub
from api.streams.journal import Place
from api.streams.keeper import WARM_UP_SECONDS, Keeper, every
from config.settings import Settings
from domain.values import Address
from registry.records import PredicateRecord
from runtime.assembly import Runtime

_MEMBERS_TICK_SECONDS = 0.5
_HASH_TAGS_LOOK_SECONDS = 2.0
"""With hash tags there is no stream of changes: looking is all that there is."""


class OpenStreams:
    """Keeps streams: `enter`, `begin`, `leave`.

    Args:
        runtime: the parts of the process.
        authentication: who is signed in.
        prices: what balances are worth.
    """

    def __init__(self, runtime: Runtime, authentication: Authentication, prices: Prices) -> None:
        self._runtime = runtime
        self._hub = Hub(runtime, prices)
        self._keeper = Keeper(
            runtime,
            authentication,
            members_seconds=self.settings.stream_membership_seconds,
            on_vaults=self._set_vaults,
        )
        self._works: list[asyncio.Task[None]] = []
        self._is_shut = False

    @property
    def settings(self) -> Settings:
        """What the operator decided."""
        return self._runtime.settings

    def __len__(self) -> int:
        return len(self._keeper.feeds)

    def enter(self, feed: Feed) -> None:
        """Let a stream in; `leave` it in any case.

        Raises:
            ProblemError: 429 the user has too many open, 503 the process has, or it is ending.
        """
        if self._is_shut:
            raise unavailable("This process is ending.")
        if len(self) >= self.settings.streams_per_process:
            raise unavailable("This process has as many open streams as it may have.")
        if feed.token is not None:
            of_user = sum(other.user_id == feed.user_id for other in self._keeper.feeds)
            if of_user >= self.settings.streams_per_user:
                detail = f"A user may have {self.settings.streams_per_user} open streams."
                raise ProblemError(429, "Too many requests", detail, {"Retry-After": "5"})
        self._start()
        self._keeper.enter(feed)

    def leave(self, feed: Feed) -> None:
        """Forget a stream that has ended."""
        self._keeper.leave(feed)
        self._hub.unwatch(feed, feed.addresses)

    async def begin(self, feed: Feed, after: EventId | None) -> None:
        """Tell a reader what is known, or what he has missed after an id; then all that changes."""
        await self._hub.ready()
        missed = None if after is None else self._hub.missed(feed, after)
        if missed is not None:
            feed.say("resumed", {"after": str(after)})
        elif after is not None:
            feed.say("reset", {"reason": "what changed since then is not known any more"})
        if not self._hub.is_live:
            feed.say("live", {"live": False})
        told = await self._tell(feed, feed.addresses, missed)
        feed.say_after("snapshot", {"vaults": len(feed.addresses), "known": told})

    def event_id(self, feed: Feed) -> EventId | None:
        """Return the id of all that a stream was told."""
        return self._hub.event_id(feed)

    async def _tell(
        self, feed: Feed, addresses: Sequence[Address], missed: set[Place] | None
    ) -> int:
        """Tell what is known at once, and have the rest fetched; return how many are known.

        Watched first, then read: no change falls between.
        """
        self._hub.watch(feed, addresses)
        missing = []
        with feed.reading():
            ticket = self._hub.ticket()
            reader = self._runtime.reader(feed.chain_id)
            served = await reader.read_many(addresses, allow_stale=True, wait_seconds=0)
            for address, state in (await self._hub.states(feed.chain_id, served)).items():
                changed = missed is None or (feed.chain_id, address) in missed
                if state.is_missing:
                    missing.append(address)
                elif state.is_fresh and state.is_ours and not changed:
                    feed.know(ticket, state)
                else:
                    feed.put(ticket, state)
        if missing:
            self._runtime.background.start(self._fetch(feed, missing))
        return len(addresses) - len(missing)

    async def _fetch(self, feed: Feed, addresses: Sequence[Address]) -> None:
        """Fetch what nobody knows, or await whoever fetches it; what comes the hub tells."""
        ticket = self._hub.ticket()
        reader = self._runtime.reader(feed.chain_id)
        served = await reader.read_many(addresses, wait_seconds=self.settings.read_wait_seconds)
        for state in (await self._hub.states(feed.chain_id, served)).values():
            feed.put(ticket, state)

    def _set_vaults(self, feed: Feed, records: Sequence[PredicateRecord]) -> None:
        before = set(feed.addresses)
        new = feed.set_records(records)
        self._hub.unwatch(feed, before.difference(feed.addresses))
        if new:
            self._runtime.background.start(self._tell(feed, new, None))

    def _start(self) -> None:
        """Begin to follow and to check, with the first stream."""
        if self._works:
            return
        settings = self.settings
        look_seconds = settings.stream_look_seconds
        if settings.redis_hash_tags:
            look_seconds = min(look_seconds, _HASH_TAGS_LOOK_SECONDS)
        else:
            self._works.append(asyncio.create_task(self._hub.follow(), name="stream of changes"))
        for seconds, work in (
            (look_seconds, self._hub.look),
            (settings.stream_session_seconds, self._keeper.check_sessions),
            (_MEMBERS_TICK_SECONDS, self._keeper.check_members),
            (WARM_UP_SECONDS, self._keeper.check_warm_ups),
        ):
            self._works.append(asyncio.create_task(every(seconds, work)))

    def end_all(self) -> None:
        """Let all streams end, and let none in any more."""
        self._is_shut = True
        for feed in tuple(self._keeper.feeds):
            feed.end(End.SHUTDOWN)

    async def close(self) -> None:
        """End everything."""
        self.end_all()
        for work in self._works:
            work.cancel()
        await asyncio.gather(*self._works, return_exceptions=True)
