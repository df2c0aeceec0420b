"""HTTP/1.1 beside HTTP/2, and gzip beside none: what ten answers of 200 vaults cost the client.

``python -m benchmarks.provider_http``. One server for both protocols would have to be a proxy;
this one speaks HTTP/2 in clear text by prior knowledge and HTTP/1.1 on another port, from one
process, with answers that are ready. Compared is the client's processor time, which does not
depend on how fast the server is.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import statistics
import sys
import time
from dataclasses import asdict, dataclass

import h2.config
import h2.connection
import h2.events
import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.common import refuse, save
from supervisor.ports import free_port, is_listening
from supervisor.processes import spawn, stop
from supervisor.waiting import wait_until

REQUESTS = 10
ROUNDS = 30
LATENCY_SECONDS = 0.02


def answer(*, compressed: bool) -> bytes:
    """Return an answer of 200 vaults with three of 40 assets each."""
    known = [f"0x{random.Random(n).getrandbits(256):064x}" for n in range(40)]
    chance = random.Random(0)

    def page() -> dict[str, object]:
        rows = [
            {"assetId": asset_id, "amountU128": str(chance.getrandbits(chance.randint(20, 70)))}
            for asset_id in chance.sample(known, 3)
        ]
        return {"nodes": rows, "pageInfo": {"hasNextPage": False, "endCursor": None}}

    content = json.dumps({"data": {f"v{n}": page() for n in range(200)}}).encode()
    return gzip.compress(content, 6) if compressed else content


BODIES = {False: answer(compressed=False), True: answer(compressed=True)}


class Http2(asyncio.Protocol):
    """Answers each request after the latency."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # TCP is one
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.waiting: dict[int, bytes] = {}
        self.compressed: dict[int, bool] = {}
        self.flush()

    def flush(self) -> None:
        """Send what is ready."""
        self.transport.write(self.connection.data_to_send())

    def data_received(self, data: bytes) -> None:
        """Take frames."""
        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                accepted = dict(event.headers).get("accept-encoding", "")
                self.compressed[event.stream_id] = "gzip" in str(accepted)
            elif isinstance(event, h2.events.DataReceived):
                self.connection.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id
                )
            elif isinstance(event, h2.events.StreamEnded):
                loop = asyncio.get_running_loop()
                loop.call_later(LATENCY_SECONDS, self.respond, event.stream_id)
        self.send_waiting()  # a window may have opened
        self.flush()

    def respond(self, stream: int) -> None:
        """Answer one request."""
        compressed = self.compressed.pop(stream)
        headers = [(":status", "200"), ("content-type", "application/json")]
        if compressed:
            headers.append(("content-encoding", "gzip"))
        self.connection.send_headers(stream, headers)
        self.waiting[stream] = BODIES[compressed]
        self.send_waiting()
        self.flush()

    def send_waiting(self) -> None:
        """Send as much of each answer as the windows allow."""
        for stream, content in list(self.waiting.items()):
            rest = content
            while rest:
                window = self.connection.local_flow_control_window(stream)
                size = min(window, self.connection.max_outbound_frame_size, len(rest))
                if size <= 0:
                    break
                self.connection.send_data(stream, rest[:size], end_stream=size == len(rest))
                rest = rest[size:]
            if rest:
                self.waiting[stream] = rest
            else:
                del self.waiting[stream]


async def http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests of one connection, one after the other."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            compressed = b"gzip" in head
            await asyncio.sleep(LATENCY_SECONDS)
            encoding = "content-encoding: gzip\r\n" if compressed else ""
            content = BODIES[compressed]
            lines = f"HTTP/1.1 200 OK\r\n{encoding}content-length: {len(content)}\r\n\r\n"
            writer.write(lines.encode() + content)
    except asyncio.IncompleteReadError:
        writer.close()


async def serve(port_of_1: int, port_of_2: int) -> None:
    """Serve both protocols until the parent ends us."""
    loop = asyncio.get_running_loop()
    await asyncio.start_server(http1, "127.0.0.1", port_of_1)
    await loop.create_server(Http2, "127.0.0.1", port_of_2)
    await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class Figures:
    """One way of asking; milliseconds for ten requests at once."""

    protocol: str
    gzip: bool
    wall_ms: float
    cpu_ms: float
    bytes_per_answer: int


async def measure(port: int, *, http2: bool, compressed: bool) -> Figures:
    """Ask ten times at once, again and again; the middle round counts."""
    headers = {"accept-encoding": "gzip" if compressed else "identity"}
    walls, processor = [], []
    async with httpx.AsyncClient(http1=not http2, http2=http2, headers=headers) as client:

        async def one() -> None:
            content = await client.post(f"http://127.0.0.1:{port}/", content=b"x" * 20_000)
            if len(content.json()["data"]) != 200:
                refuse("an answer is not whole")

        for _ in range(ROUNDS):
            cpu, begun = time.process_time(), time.perf_counter()
            await asyncio.gather(*(one() for _ in range(REQUESTS)))
            walls.append(time.perf_counter() - begun)
            processor.append(time.process_time() - cpu)
    return Figures(
        protocol="HTTP/2" if http2 else "HTTP/1.1",
        gzip=compressed,
        wall_ms=round(statistics.median(walls) * 1000, 1),
        cpu_ms=round(statistics.median(processor) * 1000, 1),
        bytes_per_answer=len(BODIES[compressed]),
    )


async def run(ports: tuple[int, int]) -> list[Figures]:
    """Measure all four ways."""
    return [
        await measure(ports[http2], http2=http2, compressed=compressed)
        for http2 in (False, True)
        for compressed in (False, True)
    ]


def main() -> None:
    """Measure, print a table, and write benchmarks/results/provider_http.json."""
    ports = (free_port(), free_port())
    process = spawn([sys.executable, "-m", "benchmarks.provider_http", *map(str, ports)])
    try:
        if not wait_until(lambda: all(is_listening(port) for port in ports), seconds=20):
            refuse("the server did not start")
        figures = asyncio.run(run(ports))
    finally:
        stop(process)
    table = Table(title=f"{REQUESTS} answers of 200 vaults at once, {ROUNDS} rounds, medians")
    for name in ("protocol", "gzip", "wall ms", "client CPU ms", "bytes per answer"):
        table.add_column(name, justify="right")
    for row in figures:
        table.add_row(*(str(value) for value in asdict(row).values()))
    Console().print(table)
    save("provider_http", {"runs": [asdict(row) for row in figures]})


if __name__ == "__main__":
    if len(sys.argv) == 3:
        asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
    else:
        main()
