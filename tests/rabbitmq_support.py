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
_PROGRAMS = Path("/usr/lib/rabbitmq/bin")
"""Where the programs are that run as whoever calls them; those on the PATH change to a user."""

_SERVER = _PROGRAMS / "rabbitmq-server"
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

    @contextmanager
    def away(self) -> Iterator[None]:
        """Kill it as a power cut would, and start it again with the same data at the end."""
        self.kill()
        try:
            yield
        finally:
            self.process = self._spawn()
            self._wait()

    def restart(self) -> None:
        """Be away for a moment."""
        with self.away():
            pass

    def control(self, *arguments: str) -> None:
        """Give it an administrator's order."""
        subprocess.run(
            [str(_PROGRAMS / "rabbitmqctl"), "--quiet", "--node", self._name, *arguments],
            env={**os.environ, **self._environment},
            check=True,
            timeout=60,
            stdout=subprocess.DEVNULL,
        )

    def host(self) -> HostedRabbit:
        """Return a new virtual host of it."""
        name = f"test-{uuid4().hex[:12]}"
        # In one order, because each starts an Erlang of its own.
        host, all_, user = f'<<"{name}">>', '<<".*">>', '<<"guest">>'
        self.control(
            "eval",
            f"rabbit_vhost:add({host}, {user}), rabbit_auth_backend_internal:"
            f"set_permissions({user}, {host}, {all_}, {all_}, {all_}, {user}).",
        )
        return HostedRabbit(self, name)

    def fill_disk(self) -> None:
        """More room is wanted than there is: nobody's publish is taken any more."""
        self.control("set_disk_free_limit", "1000000GB")

    def free_disk(self) -> None:
        self.control("set_disk_free_limit", "1MB")

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.kill()
        self._directory.cleanup()

    def _spawn(self) -> subprocess.Popen[bytes]:
        return spawn([str(_SERVER)], environment=self._environment, output=subprocess.DEVNULL)

    @property
    def _environment(self) -> dict[str, str]:
        home = Path(self._directory.name)
        plugins = home / "enabled_plugins"
        plugins.write_text("[].\n")
        return {
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
            # Erlang's schedulers do not keep cores busy with waiting, which others need.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def _wait(self) -> None:
        assert wait_until(lambda: is_listening(self.port), seconds=60), "RabbitMQ did not start"


class HostedRabbit:
    """A virtual host of a RabbitMQ server that several test modules share."""

    def __init__(self, server: PrivateRabbit, name: str) -> None:
        self.server = server
        self._name = name

    @property
    def process(self) -> subprocess.Popen[bytes]:
        return self.server.process

    @property
    def url(self) -> str:
        return self.server.url.removesuffix("/") + self._name

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let what a test declared a moment ago get to the disk first: see `tasks.later`."""
        self.server.control("eval", "[dets:sync(Table) || Table <- dets:all()].")
        with self.server.away():
            yield

    def restart(self) -> None:
        with self.away():
            pass

    def fill_disk(self) -> None:
        self.server.fill_disk()

    def free_disk(self) -> None:
        self.server.free_disk()

    def stop(self) -> None:
        """Leave it: it goes with its server."""
