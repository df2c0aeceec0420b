"""Servers of our own that a test may kill: a Redis that keeps its data, or a RabbitMQ."""

from __future__ import annotations

import resource
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from supervisor.ports import free_port, is_listening
from supervisor.processes import spawn
from supervisor.valkey import server_binary
from supervisor.waiting import wait_until

START_SECONDS = 60.0
_ROOM = 20_000
BROKERS = ("redis", "rabbitmq")


class Server(Protocol):
    """A cache or a broker of our own."""

    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str: ...

    def away(self) -> AbstractContextManager[None]:
        """Kill it, and start it again with the same data at the end."""

    def restart(self) -> None: ...

    def stop(self) -> None: ...

    def fill_disk(self) -> None:
        """Let its disk be as good as full."""

    def free_disk(self) -> None:
        """Let there be room again, and let it serve again."""


class PrivateRedis:
    """A Redis of our own; a durable one writes to disk before it confirms, as a broker must."""

    def __init__(self, *, durable: bool) -> None:
        self.port = free_port()
        self._durable = durable
        self._directory = tempfile.TemporaryDirectory(prefix="balance-cache-storm-")
        self.process = self._spawn()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @contextmanager
    def away(self) -> Iterator[None]:
        self._kill()
        try:
            yield
        finally:
            self.process = self._spawn()

    def restart(self) -> None:
        with self.away():
            pass

    def stop(self) -> None:
        self._kill()
        self._directory.cleanup()

    def fill_disk(self) -> None:
        """Its files may grow by some kilobytes; it ends when it cannot write what it confirms."""
        files = Path(self._directory.name).glob("appendonlydir/*.incr.aof")
        most = max(file.stat().st_size for file in files) + _ROOM
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (most, most))

    def free_disk(self) -> None:
        self.restart()

    def _kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _spawn(self) -> subprocess.Popen[bytes]:
        policy = "noeviction" if self._durable else "volatile-lru"
        kept = ("--appendonly", "yes", "--appendfsync", "always") if self._durable else ()
        process = spawn(
            [
                str(server_binary()),
                *("--bind", "127.0.0.1", "--port", str(self.port)),
                *("--dir", self._directory.name, "--save", ""),
                *("--maxmemory", "256mb", "--maxmemory-policy", policy),
                *kept,
            ],
            output=subprocess.DEVNULL,
            death_signal=signal.SIGKILL,
        )
        assert wait_until(lambda: is_listening(self.port), seconds=START_SECONDS)
        return process


@contextmanager
def broker_of(kind: str, request: pytest.FixtureRequest) -> Iterator[Server]:
    """Give a broker for one test module."""
    broker: Server
    if kind == "rabbitmq":
        broker = request.getfixturevalue("rabbit_server").host()
    else:
        broker = PrivateRedis(durable=True)
    try:
        yield broker
    finally:
        broker.stop()
