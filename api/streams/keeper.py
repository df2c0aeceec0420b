"""What an open stream must be asked again and again: whose it is, about which vaults, how far."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from api.sessions import Authentication, Caller
from api.streams.feed import End, Feed
from domain.errors import (
    BalanceCacheError,
    CacheUnavailableError,
    RegistryUnavailableError,
    UnknownUserError,
)
from registry.records import PredicateRecord
from runtime.assembly import Runtime

TABLE_SECONDS = 30.0
"""How often the table is asked about a session that Redis does not hold."""

UNVERIFIED_SECONDS = 60.0
"""After so long without anybody who could vouch for a stream it ends: a door fails closed."""

WARM_UP_SECONDS = 1.0
_AWAITED_SECONDS = 15.0
"""So long after its beginning a stream waits for a warm-up to be planned."""

_AGAIN_SECONDS = 5.0
_SPREAD = 0.2
_AT_ONCE = 8

_log = structlog.get_logger(__name__)

Work = Coroutine[Any, Any, None]
NewVaults = Callable[[Feed, Sequence[PredicateRecord]], None]


@dataclass(slots=True)
class _Times:
    """When what was known of one stream, by the monotonic clock."""

    session_verified: float
    members_verified: float
    members_due: float
    warm_up_awaited_until: float
    table_asked: float = float("-inf")


class Keeper:
    """Looks after open streams.

    Args:
        runtime: registry and warm-ups.
        authentication: who is signed in.
        members_seconds: how often each stream's vaults are asked for.
        on_vaults: told a stream's vaults each time.
    """

    def __init__(
        self,
        runtime: Runtime,
        authentication: Authentication,
        *,
        members_seconds: float,
        on_vaults: NewVaults,
    ) -> None:
        self._runtime = runtime
        self._authentication = authentication
        self._members_seconds = members_seconds
        self._on_vaults = on_vaults
        self._times: dict[Feed, _Times] = {}

    @property
    def feeds(self) -> Collection[Feed]:
        """The open streams."""
        return self._times.keys()

    def enter(self, feed: Feed) -> None:
        """Look after this stream too; it was verified just now."""
        now = time.monotonic()
        self._times[feed] = _Times(now, now, self._due(), now + _AWAITED_SECONDS)

    def leave(self, feed: Feed) -> None:
        """Look after it no longer."""
        self._times.pop(feed, None)

    def _due(self) -> float:
        """Return when vaults are asked for next: streams that came together part again."""
        sooner = 1 - _SPREAD * random.random()  # noqa: S311 - no secret
        return time.monotonic() + self._members_seconds * sooner

    async def check_sessions(self) -> None:
        """End the streams whose session is over, is gone, or is another one now."""
        feeds = {feed: feed.token for feed in self.feeds if feed.token is not None}
        try:
            callers = await self._authentication.cached_callers(list(feeds.values()))
        except CacheUnavailableError:
            callers = {}
        for feed, token in feeds.items():
            if token in callers:
                self._judge(feed, callers[token])
        await _together(
            self._check_by_table(feed, token)
            for feed, token in feeds.items()
            if token not in callers
        )

    async def _check_by_table(self, feed: Feed, token: str) -> None:
        times = self._times.get(feed)
        if times is None or time.monotonic() - times.table_asked < TABLE_SECONDS:
            return
        try:
            self._judge(feed, await self._authentication.stored_caller(token))
        except RegistryUnavailableError:
            _end_unverified(feed, times.session_verified)
        else:
            times.table_asked = time.monotonic()

    def _judge(self, feed: Feed, caller: Caller | None) -> None:
        if caller is None:
            feed.end(End.SESSION)
        elif caller != feed.caller:
            feed.end(End.SESSION_CHANGED)
        elif feed in self._times:
            self._times[feed].session_verified = time.monotonic()

    async def check_members(self) -> None:
        """Ask for the vaults of those streams that are due; a user's once for all of his."""
        now = time.monotonic()
        by_user: defaultdict[str, list[Feed]] = defaultdict(list)
        for feed, times in self._times.items():
            if now >= times.members_due:
                by_user[feed.user_id].append(feed)
        await _together(self._check_user(user_id, feeds) for user_id, feeds in by_user.items())

    async def _check_user(self, user_id: str, feeds: Sequence[Feed]) -> None:
        try:
            records = await self._runtime.registry.predicates_of_user(user_id)
        except UnknownUserError:
            for feed in feeds:
                feed.end(End.SESSION)
            return
        except RegistryUnavailableError:
            records = None
        for feed in feeds:
            if (times := self._times.get(feed)) is None:
                continue
            if records is None:
                times.members_due = time.monotonic() + _AGAIN_SECONDS
                _end_unverified(feed, times.members_verified)
            else:
                times.members_verified, times.members_due = time.monotonic(), self._due()
                self._on_vaults(feed, records)

    async def check_warm_ups(self) -> None:
        """Tell how far warm-ups are: those that go on, and those that may begin."""
        now = time.monotonic()
        await _together(
            self._tell_progress(feed)
            for feed, times in list(self._times.items())
            if feed.is_warming or now < times.warm_up_awaited_until
        )

    async def _tell_progress(self, feed: Feed) -> None:
        progress = await self._runtime.warm_ups.progress(feed.user_id, feed.chain_id)
        if progress is not None:
            feed.progress(progress)


async def every(seconds: float, work: Callable[[], Work]) -> None:
    """Do work again and again, with so many seconds between; a failure is tried again."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except BalanceCacheError as error:
            _log.info("stream_check_failed", error=str(error))
        except Exception as error:  # noqa: BLE001 - the checks of all must go on
            _log.error("stream_check_broke", exc_info=error)


def _end_unverified(feed: Feed, verified: float) -> None:
    if time.monotonic() - verified >= UNVERIFIED_SECONDS:
        feed.end(End.UNVERIFIED)


async def _together(works: Iterable[Work]) -> None:
    """Do many small things, a few at a time."""
    waiting = list(works)
    for at in range(0, len(waiting), _AT_ONCE):
        outcomes = await asyncio.gather(*waiting[at : at + _AT_ONCE], return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, BalanceCacheError):
                raise outcome
