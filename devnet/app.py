"""The devnet as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from devnet.admin import Admin
from devnet.graphql_http import CORS, GraphqlEndpoint
from devnet.knobs import Knobs
from devnet.options import DevnetOptions
from devnet.problems import EXCEPTION_HANDLERS
from devnet.request_log import RequestRecord
from devnet.state import Devnet
from devnet.streaming import StreamEndpoint

GRAPHQL_PATH = "/v1/graphql"
STREAM_PATH = "/v1/graphql-sub"
ADMIN_PATH = "/devnet"


def create_app(devnet: Devnet | DevnetOptions | None = None) -> Starlette:
    """Return the application of a devnet.

    Raises:
        ConfigurationError: the state file cannot be read.
    """
    state = devnet if isinstance(devnet, Devnet) else Devnet(devnet)

    async def health(_request: Request) -> Response:
        state.log.add(RequestRecord("health", status=200))
        return JSONResponse({"up": True}, headers=CORS)

    routes = [
        Route("/health", health),
        Route("/v1/health", health),
        Mount(ADMIN_PATH, routes=[*Admin(state).routes(), *Knobs(state).routes()]),
        *_both(GRAPHQL_PATH, GraphqlEndpoint(state)),
        *_both(STREAM_PATH, StreamEndpoint(state)),
    ]
    app = Starlette(routes=routes, lifespan=_lifespan, exception_handlers=EXCEPTION_HANDLERS)
    app.state.devnet = state
    return app


def _both(path: str, endpoint: GraphqlEndpoint | StreamEndpoint) -> list[Route]:
    """Serve a path for the node whose turn it is, and for each node of its own."""

    async def options(_request: Request) -> Response:
        return Response(headers=CORS)

    async def handle(request: Request) -> Response:
        return await endpoint(request)

    async def not_allowed(_request: Request) -> Response:
        return PlainTextResponse("", 405, headers={**CORS, "allow": "POST"})

    return [
        route
        for whole in (path, "/nodes/{node:int}" + path)
        for route in (
            Route(whole, handle, methods=["POST"]),
            Route(whole, options, methods=["OPTIONS"]),
            Route(whole, not_allowed),
        )
    ]


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    devnet: Devnet = app.state.devnet
    ticker = asyncio.create_task(_tick(devnet))
    yield
    ticker.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ticker


async def _tick(devnet: Devnet) -> None:
    seconds = devnet.options.block_seconds
    while seconds:
        await asyncio.sleep(seconds)
        devnet.chain.produce_blocks(1)
