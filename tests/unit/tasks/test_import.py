"""Importing `tasks` does nothing; a wrong setting is told by Celery's own commands."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.process_support import clean_environment

WATCHED_IMPORT = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(event) if event == "socket.connect" else None)
import tasks
assert tasks.app.main == "balance-cache"
assert not tasks.app.configured
assert opened == [], opened
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_importing_opens_no_connection_and_reads_no_setting() -> None:
    result = run("-c", WATCHED_IMPORT, BALANCE_CACHE_TTL="soon")

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("command", ["worker", "beat", "flower"])
def test_celerys_commands_name_a_wrong_variable_in_one_line(command: str) -> None:
    result = run("-m", "celery", "-A", "tasks", command, BALANCE_CACHE_TTL="soon")
    lines = [line for line in result.stderr.splitlines() if line.strip()]

    assert result.returncode == 2
    assert len(lines) == 1
    assert "BALANCE_CACHE_TTL" in lines[0]
