"""Servers under test, and what is measured of them: sides that take turns."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from benchmarks.common import refuse

Requests = Sequence[tuple[str, Mapping[str, str]]]
Rounds = Sequence[Mapping[str, float]]

SERVERS_CPU, OTHERS_CPU = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
"""Where there are two processors the server has one; load, Redis and node share the other."""


@dataclass
class Server:
    """A server under test."""

    process: psutil.Popen
    port: int

    @classmethod
    def start(cls, command: Sequence[str], environment: Mapping[str, str]) -> Server:
        """Start a module with its arguments, and wait until it says `port N`."""
        os.sched_setaffinity(0, {SERVERS_CPU})  # what it starts inherits it
        process = psutil.Popen(
            [sys.executable, "-m", *command],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(0, {OTHERS_CPU})
        line = process.stdout.readline()
        if not line.startswith("port "):
            refuse(f"{' '.join(command)} does not start")
        return cls(process, int(line.split()[1]))

    @property
    def worker(self) -> int:
        """The process that answers: itself, or the last that it has started."""
        return int([self.process, *self.process.children(recursive=True)][-1].pid)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)


@dataclass(frozen=True)
class Side:
    """What one side asks for: a view is all of the requests, one after another."""

    server: Server
    requests: Requests
    status: int = 200


@dataclass(frozen=True)
class Figures:
    """What came back at one number of connections.

    Attributes:
        row: latencies in ms, views a second, processor time of the server and of the load in µs a
            view, how much of its processor either used, bytes of an answer.
        rounds: views, seconds and processor seconds of each round.
    """

    row: Mapping[str, float]
    rounds: Rounds

    @classmethod
    def of(cls, told: Mapping[str, object], rounds: Rounds) -> Figures:
        """Sum up what `read_load` told of a side."""
        views, seconds, server_cpu, load_cpu = (
            sum(one[name] for one in rounds)
            for name in ("views", "seconds", "server_cpu", "load_cpu")
        )
        row = {name: value for name, value in told.items() if isinstance(value, int | float)}
        row |= {
            "per_second": views / seconds,
            "cpu_us": server_cpu / views * 1e6,
            "load_cpu_us": load_cpu / views * 1e6,
            "busy": server_cpu / seconds,
            "load_busy": load_cpu / seconds,
        }
        return cls({name: round(value, 3) for name, value in row.items()}, rounds)


@dataclass(frozen=True)
class Contest:
    """Sides that are asked in turn over so many rounds."""

    sides: Mapping[str, Side]
    rounds: int
    seconds: float

    def measure(self, connections: int) -> dict[str, Figures]:
        """Load the servers, each in its turn."""
        wanted = {
            "connections": connections,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "sides": [
                {
                    "port": side.server.port,
                    "pid": side.server.worker,
                    "requests": side.requests,
                    "status": side.status,
                }
                for side in self.sides.values()
            ],
        }
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.read_load", json.dumps(wanted)],
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            refuse(f"the load failed: {ran.stderr[-500:]}")
        told = json.loads(ran.stdout)
        if told["failed"]:
            wrong = told["failed"]
            refuse(f"{', '.join(self.sides)}: {len(wrong)} answers were wrong: {wrong[0]}")
        return {
            name: Figures.of(side, side["rounds"])
            for name, side in zip(self.sides, told["sides"], strict=True)
        }


def ratio(ours: Rounds, theirs: Rounds) -> dict[str, float]:
    """Return what part of their views a second ours are, round by round.

    The median of the rounds; the quartiles below and above it tell how far they scatter. `cpu` is
    the same by processor time of the server, which whatever else runs changes least.
    """
    parts = [_rate(our) / _rate(their) for our, their in zip(ours, theirs, strict=True)]
    spent = [_cost(their) / _cost(our) for our, their in zip(ours, theirs, strict=True)]
    low, median, high = statistics.quantiles(parts, n=4)
    found = {"median": median, "low": low, "high": high, "cpu": statistics.median(spent)}
    return {name: round(value, 3) for name, value in found.items()}


def _rate(one: Mapping[str, float]) -> float:
    return one["views"] / one["seconds"]


def _cost(one: Mapping[str, float]) -> float:
    return one["server_cpu"] / one["views"]
