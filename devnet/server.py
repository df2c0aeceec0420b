"""Running a devnet: in the foreground for people, in a thread for tests and the demo."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn

from devnet.app import ADMIN_PATH, GRAPHQL_PATH, create_app
from devnet.chain import Chain
from devnet.options import DevnetOptions
from devnet.state import Devnet
from domain.errors import ConfigurationError
from supervisor.waiting import wait_until

_START_SECONDS = 10.0
_STOP_SECONDS = 10.0


def run(options: DevnetOptions) -> None:
    """Serve until SIGINT or SIGTERM; prints the address in one line when it listens.

    Raises:
        ConfigurationError: the port is in use, or the state file cannot be read.
    """
    listener = listen(options)
    server = _server(Devnet(options))
    address = graphql_url(options.host, listener)
    print(f"devnet listening on {address}", flush=True)  # noqa: T201 - callers read this line
    server.run(sockets=[listener])


def listen(options: DevnetOptions) -> socket.socket:
    """Return a socket that is bound to the address.

    Raises:
        ConfigurationError: the port is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"devnet: cannot listen on {options.host}, port {options.port}: {error.strerror}"
        ) from error
    return listener


def graphql_url(host: str, listener: socket.socket) -> str:
    """Return the address that clients use."""
    port = listener.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - not bound here
    return f"http://{shown}:{port}{GRAPHQL_PATH}"


def _server(devnet: Devnet) -> uvicorn.Server:
    config = uvicorn.Config(
        create_app(devnet),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
        ws="none",
    )
    server = uvicorn.Server(config)
    devnet.connections.watch(lambda: server.server_state.connections)
    return server


class DevnetServer:
    """A devnet in a thread of this process, on a free port of loopback.

    Use it as a context manager, or call `start` and `stop`.

    Attributes:
        devnet: its parts, to look inside.
    """

    def __init__(self, options: DevnetOptions | None = None) -> None:
        self.options = options or DevnetOptions(port=0, block_seconds=0.0)
        self.devnet = Devnet(self.options)
        self._listener = listen(self.options)
        self._server = _server(self.devnet)
        self._thread = threading.Thread(
            target=self._server.run,
            kwargs={"sockets": [self._listener]},
            name="devnet",
            daemon=True,
        )

    @property
    def chain(self) -> Chain:
        """Return the chain: its methods may be called from any thread."""
        return self.devnet.chain

    @property
    def url(self) -> str:
        """Return the GraphQL address."""
        return graphql_url(self.options.host, self._listener)

    @property
    def admin_url(self) -> str:
        """Return the address that the admin paths follow."""
        return self.url.removesuffix(GRAPHQL_PATH) + ADMIN_PATH

    def node_url(self, number: int) -> str:
        """Return the GraphQL address of one node."""
        return f"{self.url.removesuffix(GRAPHQL_PATH)}/nodes/{number}{GRAPHQL_PATH}"

    def start(self) -> Self:
        """Start, and wait until it answers.

        Raises:
            ConfigurationError: it did not start.
        """
        self._thread.start()
        if not wait_until(lambda: self._server.started, seconds=_START_SECONDS):
            raise ConfigurationError(f"devnet: did not start on {self.url}")
        return self

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)
        self._listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
