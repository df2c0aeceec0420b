"""Children never outlive whoever started them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from supervisor.processes import spawn, stop
from supervisor.waiting import wait_until

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
SHELL_WITH_CHILD = ["/bin/sh", "-c", "sleep 600 & echo $!; wait"]
PARENT = """
import signal, sys, time
from supervisor.processes import spawn
child = spawn({arguments!r}, death_signal=signal.{signal})
print(child.pid, flush=True)
time.sleep(600)
"""
FORKING_PARENT = """
import os, time
from supervisor.processes import die_with_parent
parent = os.getpid()
child = os.fork()
if child == 0:
    die_with_parent(parent)
    print(os.getpid(), flush=True)
time.sleep(600)
"""


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(pid: int) -> bool:
    return wait_until(lambda: not lives(pid), seconds=10)


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Parents that a test starts; killed at its end."""
    parents: list[subprocess.Popen[str]] = []
    yield parents
    for parent in parents:
        parent.kill()
        parent.wait()
        if parent.stdout is not None:
            parent.stdout.close()


def start_parent(started: list[subprocess.Popen[str]], code: str) -> int:
    """Start a parent; return the process id that it prints."""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    started.append(parent)
    assert parent.stdout is not None
    return int(parent.stdout.readline())


@pytest.mark.parametrize("death_signal", ["SIGTERM", "SIGKILL"])
def test_a_child_ends_when_its_parent_is_killed(
    started: list[subprocess.Popen[str]], death_signal: str
) -> None:
    child = start_parent(started, PARENT.format(arguments=SLEEPER, signal=death_signal))
    was_alive = lives(child)
    started[0].kill()

    assert was_alive
    assert gone(child)


def test_a_process_that_a_library_forked_can_bind_its_life_to_its_parent(
    started: list[subprocess.Popen[str]],
) -> None:
    child = start_parent(started, FORKING_PARENT)
    was_alive = lives(child)
    started[0].kill()

    assert was_alive
    assert gone(child)


def test_stopping_a_program_stops_what_it_started(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with output.open("wb") as file:
        program = spawn(SHELL_WITH_CHILD, output=file)
    assert wait_until(lambda: output.read_text().strip() != "", seconds=10)
    grandchild = int(output.read_text())
    stop(program)

    assert program.returncode == -signal.SIGTERM
    assert gone(grandchild)


def test_a_program_that_ignores_a_polite_end_is_killed(tmp_path: Path) -> None:
    output = tmp_path / "output"
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    stubborn += "print('ready', flush=True); time.sleep(600)"
    with output.open("wb") as file:
        program = spawn([sys.executable, "-c", stubborn], output=file)
    assert wait_until(lambda: "ready" in output.read_text(), seconds=10)

    assert stop(program, seconds=0.2) == -signal.SIGKILL


def test_variables_are_added_to_our_own_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INHERITED", "from us")
    output = tmp_path / "output"
    with output.open("wb") as file:
        program = spawn(
            ["/bin/sh", "-c", 'echo "$INHERITED, $ADDED"'],
            environment={"ADDED": "for it"},
            output=file,
        )
    program.wait()

    assert output.read_text() == "from us, for it\n"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        spawn(["/no-such-program"])
