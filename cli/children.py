"""The programs that `demo` and `up` start: each with a log file, watched, ended with us."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.ending import heed_end
from cli.errors import ChildEndedError
from supervisor.processes import spawn, stop
from supervisor.waiting import wait_until

_SHOWN_LINES = 12
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Child:
    """One running program."""

    name: str
    process: subprocess.Popen[bytes]
    log_path: Path

    def log_text(self) -> str:
        """Return what it has written so far."""
        return self.log_path.read_text(errors="replace")

    def explain(self, what: str) -> ChildEndedError:
        """Return the error to raise, with the last lines of the log."""
        lines = self.log_text().splitlines()[-_SHOWN_LINES:]
        return ChildEndedError("\n  ".join([f"{self.name} {what}; its last words:", *lines]))


class Children:
    """All programs of one system. Ended in the reverse order of their start."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._children: list[Child] = []

    def start(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Child:
        """Start one of our own Python programs (``python -m …``)."""
        log_path = self._directory / f"{name}.log"
        with log_path.open("wb") as log:
            process = spawn(
                [sys.executable, "-m", *arguments],
                environment=environment,
                output=log,
                directory=self._directory,
                # A worker that is asked to end waits for its broker, which ends with us too.
                death_signal=signal.SIGKILL,
            )
        child = Child(name, process, log_path)
        self._children.append(child)
        return child

    def wait_ready(self, child: Child, is_ready: Callable[[], bool], seconds: float = 40) -> None:
        """Wait until the child is ready.

        Raises:
            ChildEndedError: it ended instead, or it is not ready in time.
            KeyboardInterrupt: we were asked to end.
        """

        def is_over() -> bool:
            heed_end()
            return child.process.poll() is not None or is_ready()

        wait_until(is_over, seconds=seconds)
        if child.process.poll() is not None:
            raise child.explain(f"ended with code {child.process.returncode}")
        if not is_ready():
            raise child.explain(f"was not ready within {seconds:.0f} s")

    def check(self) -> None:
        """Make sure that all run.

        Raises:
            ChildEndedError: one of them has ended.
            KeyboardInterrupt: we were asked to end.
        """
        heed_end()
        for child in self._children:
            if child.process.poll() is not None:
                raise child.explain(f"ended with code {child.process.returncode}")

    def stop(self) -> None:
        """End all of them: the askers first, so that nobody misses what he works with.

        Politely within one time for all together, then by force: whoever pressed Ctrl-C waits.
        """
        deadline = time.monotonic() + _STOP_SECONDS
        for child in reversed(self._children):
            child.process.terminate()
        for child in reversed(self._children):
            stop(child.process, max(0.0, deadline - time.monotonic()))
        self._children.clear()
