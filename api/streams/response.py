"""A stream as a response: sends what its feed has, as fast as the reader takes it."""

from __future__ import annotations

import asyncio
import random
import time

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.problems import ProblemError, answer
from api.streams.events import EventId
from api.streams.feed import End, Feed
from api.streams.open_streams import OpenStreams

MEDIA_TYPE = "text/event-stream"
_HEADERS = {
    "Cache-Control": "no-store, no-transform",
    # nginx and those who follow its example hold answers back otherwise.
    "X-Accel-Buffering": "no",
}
_RETRY_MS = (1_000, 4_000)
_SHORTEST_LIFE = 0.9

_log = structlog.get_logger(__name__)


class EventStream(Response):
    """One open stream.

    Writing waits for the reader: while he takes nothing, nothing is composed, and news of one
    vault replace each other. A reader who takes nothing for ever stays counted as an open stream.
    """

    media_type = MEDIA_TYPE

    def __init__(self, feed: Feed, streams: OpenStreams, after: EventId | None) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(_HEADERS)
        self._feed = feed
        self._streams = streams
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the feed ends or the reader has gone."""
        try:
            self._streams.enter(self._feed)
        except ProblemError as problem:
            await answer(problem)(scope, receive, send)
            return
        works = [
            asyncio.create_task(self._begin()),
            asyncio.create_task(self._until_gone(receive)),
        ]
        try:
            await self._send(send)
        finally:
            for work in works:
                work.cancel()
            self._streams.leave(self._feed)

    async def _send(self, send: Send) -> None:
        settings = self._streams.settings
        lasts = settings.stream_life_seconds * random.uniform(_SHORTEST_LIFE, 1)  # noqa: S311
        ends_at = time.monotonic() + lasts
        # Readers that a process loses together come again one after another.
        self._feed.retry(random.randint(*_RETRY_MS))  # noqa: S311
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        while True:
            left = ends_at - time.monotonic()
            await self._feed.news(min(settings.stream_heartbeat_seconds, max(0.0, left)))
            if time.monotonic() >= ends_at:
                self._feed.end(End.LIFE)
            if self._feed.ended is End.GONE:
                return
            words = self._feed.take(self._streams.event_id(self._feed))
            is_over = self._feed.ended is not None
            await send({"type": "http.response.body", "body": words, "more_body": not is_over})
            if is_over:
                return

    async def _begin(self) -> None:
        try:
            await self._streams.begin(self._feed, self._after)
        except Exception as error:  # noqa: BLE001 - whatever it is, the reader must come again
            _log.error("stream_broke", exc_info=error)
            self._feed.end(End.UNVERIFIED)

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._feed.end(End.GONE)
