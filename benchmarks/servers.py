"""Servers, frameworks and clients of Redis beside each other: what decisions 0003 and 0045 rest on.

make bench-servers
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version

import uvloop
from redis import Redis

from benchmarks.common import refuse, save, saved
from benchmarks.read_contest import OTHERS_CPU, SERVERS_CPU, Contest, Server, Side
from benchmarks.read_report import write_page
from benchmarks.servers_candidates import BODY, PATH
from benchmarks.servers_clients import Question, measure
from benchmarks.servers_report import section
from supervisor.ports import is_listening
from supervisor.valkey import EmbeddedServer
from supervisor.waiting import wait_until

CONNECTIONS = 16
ROUNDS, SECONDS = 30, 0.1
_HEADERS = {"Authorization": "code" * 16, "signeraddress": "0x" + "5" * 64}
_BARE = "uvicorn with uvloop and httptools"
SERVERS = {
    _BARE: "uvicorn",
    "uvicorn with asyncio and h11": "uvicorn-plain",
    "granian with uvloop": "granian",
    "hypercorn with uvloop": "hypercorn",
}
FRAMEWORKS = {"starlette": "starlette", "fastapi": "fastapi"}
PACKAGES = (
    "uvicorn", "granian", "hypercorn", "starlette", "fastapi", "redis", "coredis", "valkey-glide",
)  # fmt: skip


def _answers(candidates: Mapping[str, str]) -> dict[str, dict[str, float]]:
    servers = {
        name: Server.start(["benchmarks.servers_candidates", candidate], {})
        for name, candidate in candidates.items()
    }
    try:
        for name, server in servers.items():
            if not wait_until(partial(is_listening, server.port), seconds=20):
                refuse(f"{name} does not listen")
        sides = {name: Side(server, [(PATH, _HEADERS)]) for name, server in servers.items()}
        measured = Contest(sides, ROUNDS, SECONDS).measure(CONNECTIONS)
    finally:
        for server in servers.values():
            server.stop()
    rows = {name: dict(figures.row) for name, figures in measured.items()}
    if any(row["bytes"] != len(BODY) for row in rows.values()):
        refuse("somebody sent something else")
    return rows


def _clients() -> dict[str, dict[str, dict[str, float]]]:
    """Measure with values as long as ours, and flags that are not set."""
    os.sched_setaffinity(0, {SERVERS_CPU})
    server = EmbeddedServer.start()
    os.sched_setaffinity(0, {OTHERS_CPU})
    try:
        names = [f"balance:{number:064x}:9889" for number in range(10)]
        client = Redis(port=server.port)
        client.mset(dict.fromkeys(names, "x" * 2_500))
        client.mset(dict.fromkeys(["session", "registry", "epoch"], "x" * 200))
        client.close()
        questions: dict[str, Question] = {}
        for shown, vaults in (("one vault", names[:1]), ("ten vaults", names)):
            flags = [f"{flag}:{name}" for flag in ("chain", "global") for name in vaults]
            questions[shown] = (["session", "registry", "epoch", *flags], vaults)
        return uvloop.run(measure(server.port, questions))
    finally:
        server.stop()


def main() -> None:
    """Measure, print and save."""
    os.sched_setaffinity(0, {OTHERS_CPU})
    rows = _answers({**SERVERS, **FRAMEWORKS})
    report = {
        "servers": {name: rows[name] for name in SERVERS},
        "frameworks": {"bare ASGI": rows[_BARE], **{name: rows[name] for name in FRAMEWORKS}},
        "clients": _clients(),
        "connections": CONNECTIONS,
        "bytes": len(BODY),
        "versions": {name: version(name) for name in PACKAGES},
    }
    save("servers", report)
    write_page()
    print("\n".join(section(saved("servers"))))


if __name__ == "__main__":
    main()
