"""The command line lists its commands without loading what they work with."""

from __future__ import annotations

import subprocess
import sys

from tests.process_support import clean_environment

_LOADED = """
import sys
import cli.main
heavy = {"alembic", "celery", "fastapi", "graphql", "redis", "sqlalchemy"}
print(*sorted(heavy & set(sys.modules)))
"""


def test_the_command_line_loads_what_a_command_needs_when_it_is_called() -> None:
    """A second and a half of computing, for every help text and every wrong option."""
    told = subprocess.run(
        [sys.executable, "-c", _LOADED],
        env=clean_environment({}),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert told.stdout.split() == []
