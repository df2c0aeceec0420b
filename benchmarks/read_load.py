"""Loads a server: so many connections, each sends its next request when it has its answer.

A program of its own, so that it takes no time from the server's loop. It knows as much of HTTP as
it needs, which costs a tenth of what a client library takes. Prints one line of JSON:
`{"latencies": [seconds], "failed": n, "seconds": s, "bytes": of one answer}`.

    python -m benchmarks.read_load '{"port": 8080, "requests": [["/path", {"Header": "value"}]],
                                     "status": 200, "connections": 16, "seconds": 2}'
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Mapping
from typing import Any, cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


class _Connection(asyncio.Protocol):
    """One connection; a view is all requests of the list, one after another."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._missing: int | None = None
        self._at = 0
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        if self._at == 0:
            self._began = time.perf_counter()
        self._transport.write(self._load.requests[self._at])

    def data_received(self, data: bytes) -> None:
        if self._missing is None:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end]
            if not head.startswith(self._load.expected):
                self._load.failed += 1
            length = _LENGTH.search(head)
            body = int(length[1]) if length else 0
            self._load.size = body
            self._missing = body - (len(self._buffer) - end - 4)
            self._buffer = b""
        else:
            self._missing -= len(data)
        if self._missing <= 0:
            self._missing = None
            self._answered()

    def _answered(self) -> None:
        self._at += 1
        if self._at == len(self._load.requests):
            self._at = 0
            now = time.perf_counter()
            self._load.latencies.append(now - self._began)
            if now >= self._load.until:
                self._transport.close()
                return
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None or time.perf_counter() < self._load.until:
            self._load.failed += 1
        self._load.open -= 1
        if not self._load.open:
            self._load.over.set()


class Load:
    """What is asked, and what came back."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.requests = [packed(path, headers) for path, headers in wanted["requests"]]
        self.expected = b"HTTP/1.1 %d" % wanted["status"]
        self.open = int(wanted["connections"])
        self.port = int(wanted["port"])
        self.seconds = float(wanted["seconds"])
        self.latencies: list[float] = []
        self.failed = 0
        self.size = 0
        self.until = 0.0
        self.over = asyncio.Event()

    async def run(self) -> dict[str, Any]:
        """Ask until the time is over."""
        began = time.perf_counter()
        self.until = began + self.seconds
        loop = asyncio.get_running_loop()
        for _ in range(self.open):
            await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self.port)
        async with asyncio.timeout(self.seconds + 30):
            await self.over.wait()
        return {
            "latencies": self.latencies,
            "failed": self.failed,
            "seconds": time.perf_counter() - began,
            "bytes": self.size,
        }


def packed(path: str, headers: Mapping[str, str]) -> bytes:
    """Return a request as HTTP writes it."""
    lines = [f"GET {path} HTTP/1.1", "Host: bench", *(f"{n}: {v}" for n, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _main() -> None:
    print(json.dumps(await Load(json.loads(sys.argv[1])).run()))


if __name__ == "__main__":
    uvloop.run(_main())
