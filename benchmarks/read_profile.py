"""Takes a hot answer apart: what each step of it costs one core, without sockets and load.

The application runs in this process behind uvicorn's own parser and writer, whose bytes go
nowhere; only the question to Redis leaves it. Steps are told apart by answers that differ in one
of them: static bytes, static bytes with an answer's headers, an answer that is believed unasked
(local copy), an answer after a question to Redis. Of many rounds the quickest counts: what else
runs on the machine can only add to it. Prints one line of JSON: processor time, µs a request.

    python -m benchmarks.read_profile '{"name": ["/path", {"Header": "value"}, 200]}'
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from api.server import settle_memory
from benchmarks.common import refuse
from benchmarks.read_load import packed
from benchmarks.read_server import make_ours

CONNECTIONS = 16
ROUNDS = 300
WARM_UP_ROUNDS = 40
PAUSE_SECONDS = 0.002
"""Gives the process's own tasks their turn (the ping to Redis, counting), outside of the rounds."""

Requests = Mapping[str, tuple[str, Mapping[str, str], int]]


class _Nowhere(asyncio.Transport):
    """Takes everything; remembers what came first since it was asked."""

    first = b""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in {"peername", "sockname"} else default

    def is_closing(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        self.first = self.first or data


class _Connection(HttpToolsProtocol):
    """Tells when an answer is complete."""

    def __init__(self, config: uvicorn.Config, all_of_them: _Connections) -> None:
        super().__init__(config, ServerState(), app_state={})
        self._all = all_of_them
        self.where = _Nowhere()
        self.connection_made(self.where)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._all.answered()


class _Connections:
    """So many connections; each is asked again when all have their answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        self._missing = 0
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connections = [_Connection(config, self) for _ in range(CONNECTIONS)]

    def answered(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._over.set_result(None)

    async def ask(self, request: bytes, status: int) -> float:
        """Return the processor time of a round, µs a request."""
        self._over = asyncio.get_running_loop().create_future()
        self._missing = len(self._connections)
        began = time.process_time()
        for connection in self._connections:
            connection.data_received(request)
        await self._over
        spent = time.process_time() - began
        for connection in self._connections:
            if not connection.where.first.startswith(b"HTTP/1.1 %d" % status):
                refuse(f"{request.split(b' ')[1]!r}: {connection.where.first[:30]!r}")
            connection.where.first = b""
        return spent / len(self._connections) * 1e6


async def _profile(requests: Requests) -> dict[str, float]:
    app = make_ours()
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, proxy_headers=False
    )
    config.load()
    async with app.router.lifespan_context(app):
        connections = _Connections(config)
        settle_memory()
        asked = [
            (name, packed(path, headers), status)
            for name, (path, headers, status) in requests.items()
        ]
        least = dict.fromkeys(requests, float("inf"))
        for at in range(WARM_UP_ROUNDS + ROUNDS):
            await connections.ask(*asked[0][1:])  # after a pause the first one finds nothing warm
            for name, request, status in asked:
                spent = await connections.ask(request, status)
                if at >= WARM_UP_ROUNDS:
                    least[name] = min(least[name], spent)
            await asyncio.sleep(PAUSE_SECONDS if at >= WARM_UP_ROUNDS else 10 * PAUSE_SECONDS)
    return {name: round(spent, 1) for name, spent in least.items()}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_profile(json.loads(sys.argv[1])))))
