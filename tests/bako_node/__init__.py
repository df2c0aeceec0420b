"""Running the code that Bako runs, in Node, as a measure for ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require

FOLDER = Path(__file__).parent


def install() -> None:
    """Install the locked packages once; skip (in CI: fail) where Node is absent."""
    require(shutil.which("node") is not None and shutil.which("npm") is not None, "Node and npm")
    wanted = (FOLDER / "package-lock.json").read_bytes()
    mark = FOLDER / "node_modules" / ".installed-lock.json"
    if mark.is_file() and mark.read_bytes() == wanted:
        return
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],  # noqa: S607 - npm is looked up above
        cwd=FOLDER,
        capture_output=True,
        check=False,
        timeout=100,
    )
    if done.returncode != 0:
        pytest.fail(f"npm ci failed: {done.stderr.decode()[-500:]}")
    mark.write_bytes(wanted)


def run(script: str, given: Any, **environment: str) -> Any:
    """Run a script with JSON on its standard input and return the JSON that it prints."""
    done = subprocess.run(
        ["node", script],  # noqa: S607 - node is looked up by `install`
        cwd=FOLDER,
        input=json.dumps(given).encode(),
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    # Every number in JavaScript is a double, also one that is written without a point.
    return json.loads(done.stdout, parse_int=float)
