"""The programs that `demo` and `up` start end when they are told to, however stubborn they are."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

import cli.children
from cli.children import Child, Children

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("here", flush=True)
time.sleep(60)
"""


def says_here(child: Child) -> bool:
    return "here" in child.log_text()


def test_programs_that_will_not_end_share_one_time_and_are_ended_by_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.children, "_STOP_SECONDS", 2.0)
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    children = Children(tmp_path)
    started = [children.start(f"stubborn-{number}", ["stubborn"], {}) for number in range(6)]
    for child in started:
        children.wait_ready(child, partial(says_here, child))

    begun_at = time.monotonic()
    children.stop()

    assert all(child.process.poll() is not None for child in started)
    assert time.monotonic() - begun_at < 6 * 2.0  # one after another would take at least this
