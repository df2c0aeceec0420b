"""A RabbitMQ for one run alone: a server of its own, or a virtual host of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from supervisor.ports import free_port, is_listening
from supervisor.processes import spawn
from supervisor.waiting import wait_until
from tests.conftest import require

PORT = 5672
_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_CONTROL = shutil.which("rabbitmqctl")


@contextmanager
def virtual_host() -> Iterator[str]:
    """Give the address of a new virtual host of the RabbitMQ on this machine, and remove it."""
    require(is_listening(PORT), f"RabbitMQ on port {PORT}")
    require(_CONTROL is not None and os.geteuid() == 0, "rabbitmqctl as root")
    name = f"test-{uuid4().hex[:12]}"
    _control("add_vhost", name)
    try:
        _control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        yield f"amqp://guest:guest@127.0.0.1:{PORT}/{name}"
    finally:
        _control("delete_vhost", name)


def _control(*arguments: str) -> None:
    subprocess.run([str(_CONTROL), "--quiet", *arguments], check=True, timeout=60)


class PrivateRabbit:
    """A RabbitMQ server of our own, whose data survives its restarts."""

    def __init__(self) -> None:
        require(_SERVER.exists() and os.geteuid() == 0, "the rabbitmq-server package, as root")
        self.port = free_port()
        self._directory = tempfile.TemporaryDirectory(prefix="balance-cache-rabbitmq-")
        self._name = f"storm-{uuid4().hex[:8]}@localhost"
        self._distribution_port = free_port()
        self.process = self._spawn()
        self._wait()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def restart(self) -> None:
        """Kill it as a power cut would, and start it again with the same data."""
        self.kill()
        self.process = self._spawn()
        self._wait()

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.kill()
        self._directory.cleanup()

    def _spawn(self) -> subprocess.Popen[bytes]:
        home = Path(self._directory.name)
        plugins = home / "enabled_plugins"
        plugins.write_text("[].\n")
        environment = {
            "HOME": str(home),
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_CONFIG_FILE": str(home / "none"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        return spawn([str(_SERVER)], environment=environment, output=subprocess.DEVNULL)

    def _wait(self) -> None:
        assert wait_until(lambda: is_listening(self.port), seconds=60), "RabbitMQ did not start"
