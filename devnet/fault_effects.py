"""What faults do to requests: to what they see, or to what they get."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import copy
from dataclasses import replace

from graphql import GraphQLError
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from devnet.connections import Connections
from devnet.execution import Answer, formatted
from devnet.faults import Fault, FaultKind
from devnet.heights import answer_extensions
from devnet.node import Node, ReadView

_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>{title}</title></head>"
    "<body><h1>{title}</h1><p>{text}</p></body></html>\n"
)


def page(status: int, title: str, text: str) -> Response:
    """Return an HTML page, such as gateways answer."""
    return HTMLResponse(_PAGE.format(title=title, text=text), status)


async def delay(fault: Fault | None) -> None:
    """Take the additional time of a slow request."""
    if fault is not None and fault.kind is FaultKind.SLOW:
        await asyncio.sleep(fault.parameters["milliseconds"] / 1000)


def instead(fault: Fault | None, connections: Connections) -> Response | None:
    """Return what a request gets without being executed at all."""
    if fault is None:
        return None
    if fault.kind is FaultKind.RESET:
        return ResetResponse(connections)
    build = _INSTEAD.get(fault.kind)
    return None if build is None else build(fault)


_INSTEAD: dict[FaultKind, Callable[[Fault], Response]] = {
    FaultKind.RATE_LIMITED: lambda _: page(429, "Access denied", "You are being rate limited."),
    FaultKind.TIMEOUT: lambda _: Response(status_code=408),
    FaultKind.SERVER_ERROR: lambda fault: page(
        fault.parameters["status"], "Bad gateway", "The host does not answer."
    ),
    FaultKind.NOT_JSON: lambda _: page(200, "Welcome", "This is not what you are looking for."),
    FaultKind.WRONG_SHAPE: lambda _: Response(
        b'{"data":[],"extensions":[]}', media_type="application/json"
    ),
}


def answer_instead(fault: Fault | None, node: Node) -> Answer | None:
    """Return the error that a resolver meets, when the fault says so."""
    if fault is None or fault.kind is not FaultKind.GRAPHQL_ERROR:
        return None
    error = formatted(GraphQLError(fault.parameters["message"]))
    return {"data": None, "extensions": answer_extensions(node), "errors": [error]}


def lagging(node: Node, fault: Fault | None) -> Node:
    """Return the node, or one that is as many blocks behind it as the fault says."""
    if fault is None or fault.kind is not FaultKind.LAG:
        return node
    behind = copy(node)
    behind.lag += fault.parameters["blocks"]
    return behind


def altered(view: ReadView, fault: Fault | None) -> ReadView:
    """Return what a request sees under a fault."""
    if fault is None:
        return view
    if fault.kind is FaultKind.SWALLOWED_ERROR:
        return replace(view, rows_before_swallowed_error=fault.parameters["rows"])
    if fault.kind is FaultKind.WRONG_CHAIN_ID:
        return replace(view, chain_id=fault.parameters["chainId"])
    return view


def damaged(response: Response, fault: Fault | None, connections: Connections) -> Response:
    """Return what is left of a good answer."""
    if fault is None:
        return response
    if fault.kind is FaultKind.TRUNCATED:
        return TruncatedResponse(response, connections)
    if fault.kind is FaultKind.CUT_JSON:
        body = bytes(response.body)
        return Response(body[: len(body) // 2], media_type="application/json")
    return response


class ResetResponse(Response):
    """No answer: the connection is reset."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(b"")
        self.status_code = 0
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reset the connection."""
        del send
        self._connections.reset(scope["client"])
        await _until_disconnected(receive)


class TruncatedResponse(Response):
    """Half of an answer, with the length of the whole; then the connection ends."""

    def __init__(self, whole: Response, connections: Connections) -> None:
        super().__init__(whole.body, whole.status_code, dict(whole.headers))
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half of the body."""
        half = bytes(self.body)[: len(self.body) // 2]
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        await send({"type": "http.response.body", "body": half, "more_body": True})
        self._connections.end(scope["client"])
        await _until_disconnected(receive)


async def _until_disconnected(receive: Receive) -> None:
    """Wait until the server knows: it would complain of an answer that is not complete."""
    while (await receive())["type"] != "http.disconnect":
        pass
