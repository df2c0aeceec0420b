"""What docker-compose.yml starts, as plain processes: same commands, same variables, same checks.

There is no container engine here. What needs one (images, read-only roots, limits) is not run.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from supervisor.ports import free_port
from supervisor.processes import spawn, stop
from supervisor.valkey import BROKER_POLICY, EmbeddedServer
from supervisor.waiting import wait_until
from tests.process_support import clean_environment

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
STARTED = ("devnet", "seed", "worker-invalidation", "worker", "beat", "api")


class Machine:
    """The containers' hosts as ports of this machine, their secrets as files."""

    def __init__(self, directory: Path, redis: EmbeddedServer, broker: EmbeddedServer) -> None:
        self.directory = directory
        self.ports = {"4000": str(free_port()), "8080": str(free_port())}
        secrets = directory / "secrets"
        secrets.mkdir()
        (secrets / "DATABASE_URL").write_text(f"sqlite:///{directory}/bako.sqlite3\n")
        (secrets / "INTERNAL_API_KEY").write_text("the-key-of-this-test\n")
        self.hosts = {
            "redis://redis:6379/0": redis.url(),
            "redis://broker:6379/0": broker.url(),
            "http://devnet:4000": f"http://127.0.0.1:{self.ports['4000']}",
            "127.0.0.1:8080": f"127.0.0.1:{self.ports['8080']}",
            "127.0.0.1:4000": f"127.0.0.1:{self.ports['4000']}",
            "0.0.0.0": "127.0.0.1",
            "/tmp/beat-schedule": f"{directory}/beat-schedule",
            "find /tmp ": f"find {directory} ",
        }
        self.secrets = secrets

    def here(self, text: str) -> str:
        if text in self.ports:
            return self.ports[text]
        if text.startswith("${"):  # the default of a variable that nobody has set
            text = text[text.index(":-") + 2 : -1]
        for there, here in self.hosts.items():
            text = text.replace(there, here)
        return text

    def environment(self, name: str) -> dict[str, str]:
        given = {key: self.here(str(value)) for key, value in SERVICES[name]["environment"].items()}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return clean_environment(
            {
                **given,
                "SECRETS_DIR": str(self.secrets),
                # Containers have a port 9400 each; plain processes share the machine's.
                "METRICS_PORT": "0",
                "PATH": path,
                "HOSTNAME": os.uname().nodename,
            }
        )

    def start(self, name: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{name}.log").open("wb") as log:
            return spawn(
                [self.here(str(word)) for word in SERVICES[name]["command"]],
                environment=self.environment(name),
                output=log,
                directory=self.directory,
                death_signal=signal.SIGKILL,
            )

    def is_healthy(self, name: str) -> bool:
        kind, *words = SERVICES[name]["healthcheck"]["test"]
        words = [self.here(word) for word in words]
        shell = words[0].replace("$$", "$") if kind == "CMD-SHELL" else shlex.join(words)
        ended = subprocess.run(
            ["/bin/bash", "-c", shell],
            env=self.environment(name),
            capture_output=True,
            check=False,
            timeout=60,
        )
        return ended.returncode == 0


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    redis, broker = EmbeddedServer.start(), EmbeddedServer.start(policy=BROKER_POLICY)
    try:
        yield Machine(tmp_path, redis, broker)
    finally:
        redis.stop()
        broker.stop()


def test_every_command_runs_and_every_health_check_tells_so(machine: Machine) -> None:
    with ExitStack() as stack:
        for name in STARTED:
            process = machine.start(name)
            stack.callback(stop, process)
            log = machine.directory / f"{name}.log"
            if SERVICES[name].get("restart") == "no":
                assert process.wait(60) == 0, log.read_text()
                continue
            healthy = wait_until(
                partial(machine.is_healthy, name),
                seconds=60,
                pause_seconds=0.5,
            )
            assert healthy, name + log.read_text()
            assert process.poll() is None, log.read_text()
        said = (machine.directory / "seed.log").read_text()
        assert "TOKEN=" in said
        config = subprocess.run(
            ["balance-cache", "config", "--json"],  # noqa: S607 - as in the container
            env=machine.environment("api"),
            capture_output=True,
            text=True,
            check=True,
        )
        shown = json.loads(config.stdout)
        assert shown["DATABASE_URL"]["from"] == "file"
        assert shown["INTERNAL_API_KEY"] == {"value": "********", "from": "file"}
