"""What a kill storm kills: brokers, cache, workers and beat, each started again after its death."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from supervisor.ports import free_port, is_listening
from supervisor.processes import spawn
from supervisor.valkey import server_binary
from supervisor.waiting import wait_until

MARK = "BALANCE_CACHE_KILL_STORM"
START_SECONDS = 60.0


class Server(Protocol):
    """A cache or a broker."""

    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str: ...

    def restart(self) -> None: ...

    def stop(self) -> None: ...


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

    def restart(self) -> None:
        self._kill()
        self.process = self._spawn()

    def stop(self) -> None:
        self._kill()
        self._directory.cleanup()

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


@dataclass
class Program:
    """One of our programs. Whoever kills it has it started again by `keep_alive`."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    directory: Path
    process: subprocess.Popen[bytes] | None = None
    paused: bool = field(default=False)

    @property
    def log_path(self) -> Path:
        return self.directory / f"{self.name}.log"

    def keep_alive(self) -> None:
        if self.process is not None and self.process.poll() is None:
            return
        with self.log_path.open("ab") as log:
            self.process = spawn(
                [sys.executable, "-m", "celery", "-A", "tasks", *self.arguments],
                environment=self.environment,
                output=log,
                directory=self.directory,
                death_signal=signal.SIGKILL,
            )

    def children(self) -> list[psutil.Process]:
        if self.process is None:
            return []
        try:
            return psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def end(self, seconds: float) -> bool:
        """Ask it to end; tell whether it did so in time."""
        if self.process is None or self.process.poll() is not None:
            return True
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def logged(self, event: str) -> list[dict[str, object]]:
        if not self.log_path.exists():
            return []
        found = []
        for line in self.log_path.read_text(errors="replace").splitlines():
            if line.startswith("{") and f'"{event}"' in line:
                try:
                    found.append(json.loads(line))
                except ValueError:  # the writer was killed within the line
                    continue
        return found


def programs(environment: dict[str, str], directory: Path) -> list[Program]:
    """Return the two workers and beat, not started yet."""
    worker = ("worker", "--concurrency", "2", "--without-mingle", "--without-gossip")
    return [
        Program(
            "invalidation",
            (*worker, "-Q", "invalidation", "-n", "invalidation@storm"),
            environment,
            directory,
        ),
        Program(
            "warmup",
            (*worker, "-Q", "warmup,refresh", "-n", "warmup@storm"),
            environment,
            directory,
        ),
        Program("beat", ("beat", "--schedule", "beat-schedule"), environment, directory),
    ]


def marked(mark: str) -> list[str]:
    """Return the command lines of living processes that carry the mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.pid != os.getpid():
                found.append(" ".join(process.cmdline())[:120])
        except psutil.Error:
            continue
    # Erlang's name server is one for the machine and stays by design.
    return [line for line in found if line and "epmd" not in line]
