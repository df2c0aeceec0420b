"""Runs the command line as a program of its own, and finds whatever it leaves behind."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psutil

from config.settings import Settings
from supervisor.waiting import wait_until

_MARK = "BALANCE_CACHE_TEST_RUN"


def clean_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Our environment without any setting, and then the changes."""
    settings = {name.upper() for name in Settings.model_fields} | {"REDIS_URL_WRITE"}
    kept = {name: value for name, value in os.environ.items() if name not in settings}
    return {**kept, **changes}


@dataclass
class Program:
    """``balance-cache …`` as a process; everything that it starts carries its mark."""

    process: subprocess.Popen[bytes]
    output_path: Path
    error_path: Path
    mark: str
    seen: set[psutil.Process] = field(default_factory=set)

    def output(self) -> str:
        return self.output_path.read_text()

    def errors(self) -> str:
        return self.error_path.read_text()

    def wait_for(self, text: str, *, seconds: float = 60) -> None:
        def there() -> bool:
            self._look_at_descendants()
            return text in self.output() + self.errors() or self.process.poll() is not None

        wait_until(there, seconds=seconds)
        assert text in self.output() + self.errors(), self.output() + self.errors()

    def end(self, seconds: float = 60) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            said = self.output() + self.errors()
            raise AssertionError(f"it goes on: {self.left_behind()}\n{said}") from None

    def left_behind(self) -> list[str]:
        """The command lines of all living processes that it started.

        Found by the mark in their environment, which also finds orphans, and among those that
        were seen below it, because a server that writes its own title loses its environment.
        """
        self._look_at_descendants()
        marked = {p for p in psutil.process_iter() if _carries(p, self.mark)}
        found = {p for p in marked | self.seen if p.pid != self.process.pid and _lives(p)}
        return sorted(_command_line(process) for process in found)

    def _look_at_descendants(self) -> None:
        try:
            self.seen |= set(psutil.Process(self.process.pid).children(recursive=True))
        except psutil.Error:
            return

    def leaves_nothing(self, *, seconds: float = 20) -> bool:
        return wait_until(lambda: not self.left_behind(), seconds=seconds, pause_seconds=0.1)


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return f"process {process.pid}, gone this instant"


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return bool(process.environ().get(_MARK) == mark)
    except psutil.Error:
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


@contextmanager
def running(directory: Path, *arguments: str, **environment: str) -> Iterator[Program]:
    """Start ``balance-cache`` with these arguments and variables."""
    command = [sys.executable, "-m", "cli.main", *arguments]
    with _running(directory, command, environment) as program:
        yield program


@contextmanager
def running_below_a_shell(
    directory: Path, *arguments: str, **environment: str
) -> Iterator[Program]:
    """Start a shell that starts ``balance-cache`` and waits for it, as make does."""
    line = shlex.join([sys.executable, "-m", "cli.main", *arguments])
    with _running(directory, ["/bin/sh", "-c", f"{line}; exit $?"], environment) as program:
        yield program


@contextmanager
def _running(
    directory: Path, command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[Program]:
    mark = uuid4().hex
    output_path, error_path = directory / f"{mark}.out", directory / f"{mark}.err"
    with output_path.open("wb") as output, error_path.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=errors,
            env=clean_environment({**environment, _MARK: mark}),
        )
    program = Program(process, output_path, error_path, mark)
    try:
        yield program
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        assert program.leaves_nothing(), program.left_behind()
