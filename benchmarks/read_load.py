"""Loads servers: so many connections, each sends its next request when it has its answer.

A program of its own, so that it takes no time from a server's loop. It knows as much of HTTP as
it needs, which costs a tenth of what a client library takes. Several sides take short turns over
connections that stay open, every second round in the opposite order: what slows the machine for
a while slows all of them. Prints one line of JSON: what went wrong, and for each side its latencies
in ms, the bytes of one answer, and for each round views, seconds, and the processor seconds of the
server and of this program.

    python -m benchmarks.read_load '{"connections": 16, "rounds": 20, "seconds": 0.1, "sides": [
        {"port": 8080, "pid": 17, "requests": [["/path", {"Header": "value"}]], "status": 200}]}'
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sys
import time
from collections.abc import Mapping
from typing import Any, cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_LATE_SECONDS = 30


class _Connection(asyncio.Protocol):
    """One connection; a view is all requests of the list, one after another."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._buffer = b""
        self._missing: int | None = None
        self._at = 0
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self) -> None:
        """Send the next request."""
        if self._at == 0:
            self._began = time.perf_counter()
        self._transport.write(self._side.requests[self._at])

    def data_received(self, data: bytes) -> None:
        if self._missing is None:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end]
            length = _LENGTH.search(head)
            body = int(length[1]) if length else 0
            self._side.check(self._at, head.partition(b"\r\n")[0], body)
            self._missing = body - (len(self._buffer) - end - 4)
            self._buffer = b""
        else:
            self._missing -= len(data)
        if self._missing <= 0:
            self._missing = None
            self._answered()

    def _answered(self) -> None:
        self._at += 1
        if self._at == len(self._side.requests):
            self._at = 0
            if self._side.viewed(self._began):
                return
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._side.lost()


class Side:
    """One who is asked, what for, and what came back."""

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self.requests = [packed(path, headers) for path, headers in wanted["requests"]]
        self.expected = b"HTTP/1.1 %d" % wanted["status"]
        self.failed: list[str] = []
        self._port = int(wanted["port"])
        self._clock = ~int(wanted["pid"]) << 3 | 2  # as clock_getcpuclockid(3) makes it
        self._sizes: dict[int, int] = {}
        self._latencies: list[float] = []
        self._rounds: list[dict[str, float]] = []
        self._connections: list[_Connection] = []
        self._running = 0
        self._until = 0.0
        self._over = asyncio.Event()

    async def connect(self, connections: int) -> None:
        """Open the connections."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, connection = await loop.create_connection(
                lambda: _Connection(self), "127.0.0.1", self._port
            )
            self._connections.append(connection)

    async def turn(self, seconds: float, *, counts: bool) -> None:
        """Ask for so long, until every answer is there; not when something has gone wrong."""
        if self.failed:
            return
        self._over.clear()
        before = len(self._latencies)
        self._running = len(self._connections)
        server_cpu, own_cpu = time.clock_gettime(self._clock), time.process_time()
        began = time.perf_counter()
        self._until = began + seconds
        for connection in self._connections:
            connection.send()
        async with asyncio.timeout(seconds + _LATE_SECONDS):
            await self._over.wait()
        if not counts:
            del self._latencies[before:]
            return
        self._rounds.append(
            {
                "seconds": time.perf_counter() - began,
                "views": len(self._latencies) - before,
                "server_cpu": time.clock_gettime(self._clock) - server_cpu,
                "load_cpu": time.process_time() - own_cpu,
            }
        )

    def check(self, at: int, status: bytes, size: int) -> None:
        """Note an answer of another status, or of another size than the one before."""
        if not status.startswith(self.expected) or self._sizes.setdefault(at, size) != size:
            self.failed.append(f"{status!r}, {size} bytes")

    def viewed(self, began: float) -> bool:
        """Take a latency; True: the turn is over."""
        now = time.perf_counter()
        self._latencies.append(now - began)
        if now < self._until:
            return False
        self._running -= 1
        if not self._running:
            self._over.set()
        return True

    def lost(self) -> None:
        """Fail: a server must not close a connection, and we end before them."""
        self.failed.append("the server closed the connection")
        self._over.set()

    def told(self) -> dict[str, Any]:
        """Return what came back."""
        latencies = sorted(self._latencies)
        views = len(latencies)
        return {
            "p50_ms": latencies[views // 2] * 1000,
            "p99_ms": latencies[views * 99 // 100] * 1000,
            "max_ms": latencies[-1] * 1000,
            "bytes": list(self._sizes.values())[-1],
            "rounds": self._rounds,
        }


def packed(path: str, headers: Mapping[str, str]) -> bytes:
    """Return a request as HTTP writes it."""
    lines = [f"GET {path} HTTP/1.1", "Host: bench", *(f"{n}: {v}" for n, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _main(wanted: Mapping[str, Any]) -> None:
    sides = [Side(side) for side in wanted["sides"]]
    for side in sides:
        await side.connect(wanted["connections"])
    gc.disable()
    for side in sides:
        await side.turn(wanted["seconds"], counts=False)  # whoever begins finds nothing warm
    for at in range(wanted["rounds"]):
        for side in sides if at % 2 else reversed(sides):
            await side.turn(wanted["seconds"], counts=True)
    failed = [what for side in sides for what in side.failed]
    print(json.dumps({"failed": failed, "sides": [] if failed else [s.told() for s in sides]}))


if __name__ == "__main__":
    uvloop.run(_main(json.loads(sys.argv[1])))
