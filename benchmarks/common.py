"""What the benchmarks share: where results go, and what they ran on."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
        "cpus": os.cpu_count(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _cpu_name() -> str:
    """Return what the processors call themselves, where the system tells it."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def save(name: str, figures: dict[str, Any]) -> Path:
    """Write the figures of a run; only a run in which nothing failed gets here."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **figures}, indent=2) + "\n")
    return path


def saved(name: str) -> dict[str, Any]:
    """Return what the last run that nothing failed in has saved."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def refuse(why: str) -> NoReturn:
    """End a run that failed, with nothing reported and exit code 1.

    Raises:
        SystemExit: always.
    """
    print(f"nothing is reported: {why}", file=sys.stderr)
    raise SystemExit(1)


async def until(
    holds: Callable[[], Awaitable[bool]], *, seconds: float, pause_seconds: float
) -> None:
    """Look again and again, from outside as a reader would, until it holds.

    Raises:
        TimeoutError: it does not in time.
    """
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - only a look can tell
            await asyncio.sleep(pause_seconds)
