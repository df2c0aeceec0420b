"""Our processes beside a Bako deployment, started and told what the adoption guide says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from supervisor.ports import free_port
from supervisor.processes import spawn, stop
from tests.process_support import clean_environment
from tests.shell_blocks import scene

KEY = "key-of-the-walk"
SECONDS = 60.0


class Ours:
    """API, worker and beat; `type` runs the guide's commands where their variables are set."""

    def __init__(self, directory: Path, **environment: str) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._directory = directory
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.environment = clean_environment(
            {**environment, "PATH": path, "API": self.url, "API_PORT": str(self._port)}
        )
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._starts = 0

    async def type(self, name: str, **variables: str) -> str:
        """Run the blocks of a scene; what they set stays set, what they print is returned."""
        kept = self._directory / "environment"
        script = "\n".join(block.text for block in scene(name))
        shell = await asyncio.create_subprocess_exec(
            "/bin/bash",
            *("-euc", f'{script}\nenv -0 > "{kept}"'),
            env={**self.environment, **variables},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, errors = await shell.communicate()
        assert shell.returncode == 0, f"{name}: {said.decode()}{errors.decode()}"
        pairs = kept.read_text("utf-8").split("\0")
        set_now = dict(pair.split("=", 1) for pair in pairs if pair)
        self.environment = {k: v for k, v in set_now.items() if k not in variables}
        return said.decode()

    async def restart(self) -> None:
        """Start all three where they are not running, or anew."""
        self.stop()
        self._starts += 1
        celery = [sys.executable, "-m", "celery", "-A", "tasks"]
        schedule = str(self._directory / "beat-schedule")
        self._start("worker", *celery, "worker", "--concurrency", "1")
        self._start("beat", *celery, "beat", "--schedule", schedule)
        self._start("api", sys.executable, "-m", "cli.main", "api")
        await eventually(self._all_run, "API and worker run")

    def stop(self) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            stop(process)
        self._running.clear()

    def log(self, name: str) -> str:
        """Return what a process has said since its last start."""
        return self._log_of(name).read_text("utf-8")

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read from our API; whole numbers are doubles, as they are in JavaScript."""
        async with httpx.AsyncClient(timeout=30) as client:
            answer = await client.get(f"{self.url}{path}", headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = json.loads(answer.text, parse_int=float)
        return found

    async def metric(self, name: str) -> float | None:
        """Return the greatest sample of a metric of the API's; None: there is none."""
        async with httpx.AsyncClient(timeout=30) as client:
            text = (await client.get(f"{self.url}/metrics")).text
        found = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(name)]
        return max(map(float, found), default=None)

    def _start(self, name: str, *arguments: str) -> None:
        with self._log_of(name).open("wb") as log:
            self._running[name] = spawn(
                list(arguments),
                environment=self.environment,
                output=log,
                death_signal=signal.SIGKILL,
            )

    def _log_of(self, name: str) -> Path:
        return self._directory / f"{name}-{self._starts}.log"

    async def _all_run(self) -> bool:
        ended = [name for name, process in self._running.items() if process.poll() is not None]
        assert ended == [], "".join(map(self.log, ended))
        if "worker.ready" not in self.log("worker"):
            return False
        try:
            async with httpx.AsyncClient(timeout=5) as client:
                return (await client.get(f"{self.url}/health")).status_code == 200
        except httpx.TransportError:
            return False


@asynccontextmanager
async def stopping(ours: Ours) -> AsyncIterator[Ours]:
    try:
        yield ours
    finally:
        ours.stop()


async def eventually(
    condition: Callable[[], Awaitable[bool]], what: str, *, pause_seconds: float = 0.1
) -> None:
    try:
        async with asyncio.timeout(SECONDS):
            while not await condition():  # noqa: ASYNC110 - other processes set no event
                await asyncio.sleep(pause_seconds)
    except TimeoutError:
        pytest.fail(f"not in time: {what}")
