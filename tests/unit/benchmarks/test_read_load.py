"""The load of `make bench-read`: it counts in turns, and notices every answer that is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import pytest

from benchmarks.read_contest import ratio

RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
WRONG = {
    "status": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nabc",
    "size": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
    "end": b"",
}


async def _load(wrong: bytes | None) -> dict[str, Any]:
    """Load a server that answers right, but for its twentieth answer."""
    answered = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            answered += 1
            answer = wrong if wrong is not None and answered == 20 else RIGHT
            if not answer:
                break
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        side = {"port": port, "pid": os.getpid(), "requests": [["/", {}]], "status": 200}
        wanted = {"connections": 2, "rounds": 3, "seconds": 0.05, "sides": [side, side]}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.read_load", json.dumps(wanted),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
    assert process.returncode == 0
    told: dict[str, Any] = json.loads(out)
    return told


async def test_each_side_has_its_turn_in_every_round() -> None:
    told = await _load(None)

    assert told["failed"] == []
    for side in told["sides"]:
        assert len(side["rounds"]) == 3
        assert all(one["views"] and one["seconds"] for one in side["rounds"])
        assert 0 < side["p50_ms"] <= side["p99_ms"] <= side["max_ms"]
        assert side["bytes"] == 3


@pytest.mark.parametrize("what", WRONG)
async def test_one_wrong_answer_is_noticed(what: str) -> None:
    told = await _load(WRONG[what])

    assert told["failed"]
    assert told["sides"] == []


def test_a_ratio_is_taken_round_by_round_and_one_bad_round_does_not_move_it() -> None:
    def rounds(*views: int) -> list[dict[str, float]]:
        return [{"views": v, "seconds": 1.0, "server_cpu": 1.0, "load_cpu": 0.5} for v in views]

    theirs = rounds(100, 50, 100, 200, 100)  # the machine was busy, then it was not
    ours = rounds(80, 40, 80, 160, 10)

    told = ratio(ours, theirs)

    assert told["median"] == told["cpu"] == 0.8
    assert told["low"] < 0.8 == told["high"]
