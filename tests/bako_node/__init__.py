"""Running the code that Bako runs, in Node, as a measure for ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests import node_support

FOLDER = Path(__file__).parent


def install() -> None:
    """Install the locked packages once; skip (in CI: fail) where Node is absent."""
    node_support.install(FOLDER)


def run(script: str, given: Any, **environment: str) -> Any:
    """Run a script with JSON on its standard input and return the JSON that it prints."""
    printed = node_support.run(FOLDER, script, given=json.dumps(given), **environment)
    # Every number in JavaScript is a double, also one that is written without a point.
    return json.loads(printed, parse_int=float)
