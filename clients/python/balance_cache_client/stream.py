"""A user's balances as they change: server-sent events, connection after connection."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx

from balance_cache_client.errors import MalformedAnswerError, RefusedError, UnreachableError
from balance_cache_client.exchange import refusal

_PATH = "/user/balances/stream"
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0

_SILENCE_SECONDS = 45.0
"""Three heartbeats of the service: a connection that is silent for longer is dead."""

_END = "end"

_ENDS_IN_PASSING = frozenset({"life", "shutdown"})
"""Why a stream ends although its reader may go on: at this or another process."""


@dataclass(frozen=True, slots=True)
class BalanceEvent:
    """One event of the stream, as the service documents each type.

    Attributes:
        type: what happened.
        id: where to go on from (`last_event_id` of another call), None where it gave none.
        data: the parsed JSON.
    """

    type: str
    id: str | None
    data: dict[str, Any]


_Received = tuple[str, str | None, str | None]
"""Type, id and data of an event; without data it is a heartbeat, which may move the id on."""


async def follow(
    http: httpx.AsyncClient, last_event_id: str | None, *, connect_seconds: float
) -> AsyncGenerator[BalanceEvent, None]:
    """Yield the events of connection after connection, each from where the last broke off.

    Raises:
        RefusedError: the service refuses, and will go on to.
        MalformedAnswerError: what answers is no such stream.
    """
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            async with aclosing(_connection(http, last_event_id, connect_seconds)) as events:
                async for kind, event_id, data in events:
                    pause = _FIRST_PAUSE_SECONDS
                    last_event_id = event_id or last_event_id
                    if data is None:
                        continue
                    event = BalanceEvent(kind, event_id, _decoded(kind, data))
                    if kind == _END and event.data.get("reason") in _ENDS_IN_PASSING:
                        break
                    yield event
                    if kind == _END:
                        return
        except UnreachableError:
            pass
        except RefusedError as error:
            if not error.is_transient:
                raise
        # A random part: streams that broke together must not come back together.
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


async def _connection(
    http: httpx.AsyncClient, last_event_id: str | None, connect_seconds: float
) -> AsyncGenerator[_Received, None]:
    headers = {"Accept": "text/event-stream"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    timeout = httpx.Timeout(connect_seconds, read=_SILENCE_SECONDS)
    try:
        async with http.stream("GET", _PATH, headers=headers, timeout=timeout) as response:
            if not response.is_success:
                await response.aread()
                raise refusal(response)
            async for event in _events(response.aiter_lines()):
                yield event
    except httpx.HTTPError as error:
        raise UnreachableError(f"the stream broke off: {type(error).__name__}") from error


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[_Received]:
    """Parse a ``text/event-stream`` (WHATWG HTML, "Server-sent events")."""
    kind, event_id, data = "message", None, list[str]()
    async for line in lines:
        if not line:
            yield kind, event_id, "\n".join(data) if data else None
            kind, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            kind = value
        elif field == "data":
            data.append(value)
        elif field == "id":
            event_id = value


def _decoded(kind: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise MalformedAnswerError(f"an event of type {kind} without a JSON object")
    return found
