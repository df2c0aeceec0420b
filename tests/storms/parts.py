"""What a kill storm kills beside the servers: workers and beat, started again after each death."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from supervisor.processes import spawn

MARK = "BALANCE_CACHE_KILL_STORM"


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
