"""The servers that `make bench-read` asks, each a process of its own.

`ours`: the API as it is, and static bytes at the place where the hot path stands, so that both pay
for the same server. `cashews`, `fastapi-cache`: the nearest thing that those libraries do, a route
whose whole answer is cached in Redis; neither checks a session, fences a write or knows a height.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from cashews import Cache
from fastapi import FastAPI, Response
from fastapi_cache import FastAPICache
from fastapi_cache.backends.redis import RedisBackend
from fastapi_cache.decorator import cache as fastapi_cached
from redis.asyncio import Redis
from starlette.types import ASGIApp, Receive, Scope, Send

from api import app as ours
from api.server import listen, settle_memory
from config.settings import load_settings

_ANSWERS_HEADERS = [
    (b"etag", b'"00000000000000000000000000000000"'),
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"Authorization, signeraddress, X-API-Key"),
    (b"last-modified", b"Thu, 01 Jan 1970 00:00:00 GMT"),
    (b"age", b"1"),
]


class _Static:
    """Sends so many bytes for `/static/{size}`; stands before the hot path.

    With `?headers`: and the headers that an answer of balances has.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._bodies: dict[str, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/static/"):
            await self._app(scope, receive, send)
            return
        size = scope["path"][8:]
        body = self._bodies.get(size)
        if body is None:
            body = self._bodies[size] = b"x" * int(size)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        if scope["query_string"]:
            headers = [*_ANSWERS_HEADERS, *headers]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def make_ours() -> FastAPI:
    """Return the API, with static bytes before its hot path."""
    inner = ours.HotPath
    ours.HotPath = lambda app: _Static(inner(app))  # type: ignore[assignment,misc]
    return ours.create_app(load_settings())


def _cashews(redis_url: str, values: dict[str, Any]) -> FastAPI:
    cache = Cache()
    cache.setup(redis_url + "?protocol=2", client_side=False)
    app = FastAPI()

    @app.get("/answer/{name}")
    @cache(ttl="10m", key="answer:{name}")
    async def answer(name: str) -> Any:
        return values[name]

    return app


def _fastapi_cache(redis_url: str, values: dict[str, Any]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        FastAPICache.init(RedisBackend(Redis.from_url(redis_url)), prefix="answers")
        yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/answer/{name}")
    @fastapi_cached(expire=600)
    async def answer(name: str, response: Response) -> Any:
        del response
        return values[name]

    return app


def main() -> None:
    """Serve one of them on a free port, named on one line."""
    kind = sys.argv[1]
    if kind == "ours":
        app = make_ours()
    else:
        values = json.loads(os.environ["ANSWERS"])
        make = _cashews if kind == "cashews" else _fastapi_cache
        app = make(os.environ["REDIS_URL"], values)
    listener = listen("127.0.0.1", 0)
    print(f"port {listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=60,  # of the load's sides one rests while the others have their turns
    )
    server = uvicorn.Server(config)

    async def serve() -> None:
        asyncio.get_running_loop().call_later(2, settle_memory)
        await server.serve(sockets=[listener])

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(serve())


if __name__ == "__main__":
    main()
