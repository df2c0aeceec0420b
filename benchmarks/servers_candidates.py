"""The servers and frameworks that `make bench-servers` compares, each a process of its own.

All of them send the same bytes. The server's candidates share one bare ASGI application; the
frameworks' routes look at what our read paths look at, and return a finished response.

    python -m benchmarks.servers_candidates granian
"""

from __future__ import annotations

import sys
from typing import Annotated
from uuid import UUID

import uvicorn
import uvloop
from fastapi import FastAPI, Header, Query, Response
from granian import Granian
from granian.constants import Interfaces, Loops
from hypercorn.asyncio import serve
from hypercorn.config import Config
from pydantic import BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from supervisor.ports import free_port

BODY = b"x" * 4535
PATH = "/predicate/00000000-0000-4000-8000-000000000000/reserved-coins?wait=0"
_JSON = "application/json"


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Send the bytes, whatever is asked."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    headers = [(b"content-type", _JSON.encode()), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")
    wait: float | None = Field(default=None, ge=0, le=10)


def _fastapi() -> ASGIApp:
    app = FastAPI()

    @app.get("/predicate/{predicate_id}/reserved-coins")
    async def answer(
        predicate_id: UUID,
        query: Annotated[_Query, Query()],
        authorization: Annotated[str, Header()],
        signeraddress: Annotated[str, Header()],
    ) -> Response:
        del predicate_id, query, authorization, signeraddress
        return Response(BODY, media_type=_JSON)

    return app


def _starlette() -> ASGIApp:
    async def answer(request: Request) -> StarletteResponse:
        UUID(request.path_params["predicate_id"])
        _Query.model_validate(dict(request.query_params))
        if not (request.headers["authorization"] and request.headers["signeraddress"]):
            return StarletteResponse(status_code=401)
        return StarletteResponse(BODY, media_type=_JSON)

    return Starlette(routes=[Route("/predicate/{predicate_id}/reserved-coins", answer)])


def _uvicorn(app: ASGIApp, port: int, **options: str) -> None:
    uvicorn.run(app, port=port, log_config=None, access_log=False, proxy_headers=False, **options)  # type: ignore[arg-type]


def _hypercorn(port: int) -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.loglevel = "ERROR"
    uvloop.run(serve(bare, config))  # type: ignore[arg-type]


def _granian(port: int) -> None:
    Granian(
        "benchmarks.servers_candidates:bare",
        port=port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        log_enabled=False,
    ).serve()


STARTS = {
    "uvicorn": lambda port: _uvicorn(bare, port),
    "uvicorn-plain": lambda port: _uvicorn(bare, port, http="h11", loop="asyncio"),
    "hypercorn": _hypercorn,
    "granian": _granian,
    "starlette": lambda port: _uvicorn(_starlette(), port),
    "fastapi": lambda port: _uvicorn(_fastapi(), port),
}

if __name__ == "__main__":
    chosen = free_port()
    print(f"port {chosen}", flush=True)
    STARTS[sys.argv[1]](chosen)
