"""Node.js beside our tests: packages as their lock files say, and scripts as programs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import require

_INSTALL_SECONDS = 300
_RUN_SECONDS = 90


def install(folder: Path) -> None:
    """Install a folder's locked packages once; skip (in CI: fail) where Node is absent."""
    require(shutil.which("node") is not None and shutil.which("npm") is not None, "Node.js and npm")
    wanted = (folder / "package-lock.json").read_bytes()
    mark = folder / "node_modules" / ".installed-lock.json"
    if mark.is_file() and mark.read_bytes() == wanted:
        return
    npm(folder, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    mark.write_bytes(wanted)


def npm(folder: Path, *arguments: str) -> None:
    """Run npm in a folder; a failure of it fails the test with its words."""
    done = subprocess.run(
        ["npm", *arguments],  # noqa: S607 - looked up by `install`
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=_INSTALL_SECONDS,
    )
    if done.returncode != 0:
        pytest.fail(f"npm {arguments[0]} failed: {(done.stdout + done.stderr).decode()[-2_000:]}")


def run(folder: Path, script: str, *arguments: str, given: str = "", **variables: str) -> str:
    """Run a script in a folder, `given` on its standard input; return what it prints."""
    done = subprocess.run(
        ["node", script, *arguments],  # noqa: S607 - looked up by `install`
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=_RUN_SECONDS,
        env={"PATH": _path(), **variables},
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout


def _path() -> str:
    node = shutil.which("node")
    assert node is not None
    return str(Path(node).parent)
