"""Reads a stream of balances as a browser's client does, and waits for what it says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

SECONDS = 30.0


@dataclass(frozen=True)
class Event:
    """One event as it came; `name` is empty for what is no event (heartbeats)."""

    name: str
    data: Any
    event_id: str | None


@dataclass
class StreamReader:
    """An open stream; every event that came is kept."""

    response: httpx.Response
    seen: list[Event] = field(default_factory=list)
    last_id: str | None = None
    heartbeats: int = 0

    def __post_init__(self) -> None:
        self._events = self._read()

    async def _read(self) -> AsyncIterator[Event]:
        name, data, event_id = "", "", None
        async for line in self.response.aiter_lines():
            key, _, value = line.partition(": ")
            if not line:
                if data:
                    yield Event(name, json.loads(data), event_id)
                name, data, event_id = "", "", None
            elif key == "event":
                name = value
            elif key == "data":
                data = value
            elif key == "id":
                self.last_id = event_id = value
            elif not key:
                self.heartbeats += 1
                yield Event("", None, event_id)

    async def next(self) -> Event:
        """Return the next event or heartbeat."""
        async with asyncio.timeout(SECONDS):
            event = await anext(self._events)
        self.seen.append(event)
        return event

    async def until(self, name: str, matches: Callable[[Any], bool] = lambda _: True) -> Event:
        """Read on until an event of this name whose data match."""
        while True:
            event = await self.next()
            if event.name == name and matches(event.data):
                return event

    async def to_the_end(self) -> list[Event]:
        """Read until the server ends the stream; return what came since the last call of any."""
        come = []
        async with asyncio.timeout(SECONDS):
            async for event in self._events:
                self.seen.append(event)
                come.append(event)
        return come

    def told(self, name: str) -> list[Any]:
        """Return the data of all events of a name so far."""
        return [event.data for event in self.seen if event.name == name]


@asynccontextmanager
async def reading(
    url: str,
    headers: Mapping[str, str],
    *,
    after: str | None = None,
    path: str = "/user/balances/stream",
) -> AsyncIterator[StreamReader]:
    """Open a stream."""
    resumed = {} if after is None else {"Last-Event-ID": after}
    async with (
        httpx.AsyncClient(timeout=SECONDS) as client,
        client.stream("GET", url + path, headers={**headers, **resumed}) as response,
    ):
        assert response.status_code == 200, await response.aread()
        yield StreamReader(response)


def amount_of(data: Mapping[str, Any], asset_id: str) -> int | None:
    """Return what a `balances` event says of an asset; None: nothing is known."""
    if data["totalBalance"] is None:
        return None
    rows = (row for row in data["totalBalance"] if row["assetId"] == asset_id)
    return sum(int(row["amount"], 16) for row in rows)
