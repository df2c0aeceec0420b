"""One question and its answer over HTTP, with this package's errors alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from balance_cache_client.errors import MalformedAnswerError, RefusedError, UnreachableError

_FIRST_PAUSE_SECONDS = 0.1
_SHORTEST_ATTEMPT_SECONDS = 0.05

_CONDITION_NOT_MET = 412
"""The node has not what was demanded; the body is what there is, and says so vault by vault."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, and when it is given up.

    Attributes:
        method: GET or POST.
        path: from the root of the service.
        seconds: the total time for the answer.
        query: parameters; those that are None are left out.
        body: what is sent as JSON.
    """

    method: str
    path: str
    seconds: float
    query: Mapping[str, object] | None = None
    body: Mapping[str, object] | None = None


async def ask(http: httpx.AsyncClient, call: Call, *, seconds: float | None = None) -> Any:
    """Ask once; return the JSON object of the answer.

    Raises:
        UnreachableError: no answer within the call's time, or the client is closed.
        RefusedError: the service said no.
        MalformedAnswerError: the answer is no JSON object.
    """
    if http.is_closed:
        raise UnreachableError("the client is closed")
    query = {k: v for k, v in (call.query or {}).items() if v is not None}
    try:
        async with asyncio.timeout(call.seconds if seconds is None else seconds):
            response = await http.request(
                call.method,
                call.path,
                params=query,  # type: ignore[arg-type]  # httpx makes text of any value
                json=call.body,
                timeout=None,
            )
    except (httpx.HTTPError, TimeoutError) as error:
        raise UnreachableError(f"no answer from balance-cache: {type(error).__name__}") from error
    if not response.is_success and response.status_code != _CONDITION_NOT_MET:
        raise refusal(response)
    answer = _json(response)
    if not isinstance(answer, dict):
        raise MalformedAnswerError(f"{call.path} answered {response.status_code} without an object")
    return answer


async def insist(http: httpx.AsyncClient, call: Call) -> Any:
    """Ask again while the answer is transient and time is left: for what must not be lost.

    Raises:
        BalanceCacheError: the last attempt's, see `ask`.
    """
    deadline = time.monotonic() + call.seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        # One hanging attempt leaves time for another.
        seconds = max((deadline - time.monotonic()) / 2, _SHORTEST_ATTEMPT_SECONDS)
        try:
            return await ask(http, call, seconds=seconds)
        except (UnreachableError, RefusedError) as error:
            wait = _pause_after(error, pause)
            if wait is None or time.monotonic() + wait + _SHORTEST_ATTEMPT_SECONDS >= deadline:
                raise
        await asyncio.sleep(wait)
        pause *= 2


def refusal(response: httpx.Response) -> RefusedError:
    """Return what the service said; its body has been read."""
    problem = _json(response)
    said: Mapping[str, object] = problem if isinstance(problem, dict) else {}
    wait: float | None = None
    with suppress(ValueError):
        wait = float(response.headers.get("retry-after", ""))
    return RefusedError(
        response.status_code,
        str(said.get("title", response.reason_phrase)),
        str(said.get("detail", "no details")),
        wait,
    )


def _json(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError:
        return None


def _pause_after(error: UnreachableError | RefusedError, pause: float) -> float | None:
    """Return the seconds before another attempt, None where it would be in vain."""
    if isinstance(error, UnreachableError):
        return pause
    if not error.is_transient:
        return None
    return max(pause, error.retry_after_seconds or 0.0)
