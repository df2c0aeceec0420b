"""Names every request, and measures it: the outermost layer of the application."""

from __future__ import annotations

import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from domain.spans import SpanKind, span_ended
from domain.trace import set_trace, trace_from
from telemetry.process import process_measures

_NOWHERE = "unknown"
_BROKE = 500


class Tracing:
    """Takes ``traceparent`` and ``X-Request-ID``, or makes them; answers with ``X-Request-ID``.

    All that is logged, published and asked of a node on the request's behalf carries both.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        trace = trace_from(headers.get("traceparent"), headers.get("x-request-id"))
        set_trace(trace)
        clear_contextvars()
        bind_contextvars(request_id=trace.request_id, trace_id=trace.trace_id)
        begun, begun_ns, status = time.monotonic(), time.time_ns(), _BROKE

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = trace.request_id
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        finally:
            # The route's pattern, never the path: that has addresses.
            route = getattr(scope.get("route"), "path", _NOWHERE)
            seconds = time.monotonic() - begun
            process_measures().request_served(route, f"{status // 100}xx", seconds)
            span_ended(
                trace,
                f"{scope['method']} {route}",
                SpanKind.SERVER,
                begun_ns,
                failed=status >= _BROKE,
                attributes={"http.route": route, "http.response.status_code": status},
            )
