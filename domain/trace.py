"""Which request all this is for: carried from the API through a message to the node's request.

W3C's ``traceparent`` (version 00) names the trace and the span; the request id is for people.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass, replace

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


@dataclass(frozen=True, slots=True)
class Trace:
    """One step of a request's way.

    Attributes:
        trace_id: the same on the whole way.
        span_id: this step.
        request_id: what the caller of the API called it, or was told.
        parent_id: the step that it follows; None: it is the first.
    """

    trace_id: str
    span_id: str
    request_id: str
    parent_id: str | None = None

    @property
    def traceparent(self) -> str:
        """The header by which the next one on the way learns of this step."""
        return f"00-{self.trace_id}-{self.span_id}-01"

    def next_step(self) -> Trace:
        """Return the step that follows this one."""
        return replace(self, span_id=_span_id(), parent_id=self.span_id)


def trace_from(traceparent: object, request_id: object) -> Trace:
    """Return the step that follows what a caller sent; what is no such thing is made anew."""
    found = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    trace_id, parent_id = secrets.token_hex(16), None
    if found is not None and found[1] != _NO_TRACE and found[2] != _NO_SPAN:
        trace_id, parent_id = found[1], found[2]
    known = isinstance(request_id, str) and _REQUEST_ID.fullmatch(request_id) is not None
    name = str(request_id) if known else secrets.token_hex(8)
    return Trace(trace_id, _span_id(), name, parent_id)


def _span_id() -> str:
    return secrets.token_hex(8)


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def current_trace() -> Trace | None:
    """Return where we are; None: nobody's request (beat, a start)."""
    return _current.get()


def set_trace(trace: Trace | None) -> None:
    """Say where we are, for this thread or asyncio task and what it starts."""
    _current.set(trace)
