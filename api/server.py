"""Serving the application: one address, one process, a polite end."""

from __future__ import annotations

import errno
import gc
import socket
import sys
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import uvicorn

from api.app import create_app
from api.context import Parts
from api.demo.routes import Payer
from config.settings import Settings
from domain.errors import ConfigurationError
from domain.lanes import LaneWatch
from domain.ports import TaskPublisher
from runtime.start_up import refuse_wrong_chains
from telemetry.spans import end_exporting, export_spans

_STOP_SECONDS = 10
_COLLECT_AFTER = (50_000, 50, 50)
"""Objects, then collections, after which the next generation is collected."""


def serve(
    settings: Settings,
    publisher: TaskPublisher | None = None,
    lanes: LaneWatch | None = None,
    payer: Payer | None = None,
) -> None:
    """Serve the API until the process is told to end (INT or TERM).

    Prints its address on one line as soon as it listens.

    Args:
        settings: API_HOST, API_PORT (0: a free one) and all the rest.
        publisher: hands tasks to the workers; closed at the end if it can be closed.
        lanes: tells what waits for them.
        payer: pays for the demo page.

    Raises:
        ConfigurationError: the port is in use, the address is not ours, or a node serves
            another chain than configured.
    """
    listener = listen(settings.api_host, settings.api_port)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"balance-cache api listening on http://{shown}:{port}", flush=True)  # noqa: T201 - the documented line
    export_spans(settings, "balance-cache-api")
    try:
        with listener:
            _Server(settings, publisher, lanes, payer).run(sockets=[listener])
    finally:
        end_exporting()


class _Server(uvicorn.Server):
    """A server that holds the publisher open while it serves."""

    def __init__(
        self,
        settings: Settings,
        publisher: TaskPublisher | None,
        lanes: LaneWatch | None,
        payer: Payer | None,
    ) -> None:
        self._app = create_app(settings, publisher, lanes, payer)
        super().__init__(
            uvicorn.Config(
                self._app,
                log_config=None,
                access_log=False,
                server_header=False,
                # Whom to believe about the caller's address is decided by TRUSTED_PROXIES.
                proxy_headers=False,
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
        )
        self._settings = settings
        self._publisher = publisher

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as the server does, then leave its memory alone."""
        await super().startup(sockets)
        settle_memory()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Check the nodes, then serve with an open publisher, closed on the same event loop."""
        await refuse_wrong_chains(self._settings)
        async with AsyncExitStack() as stack:
            if isinstance(self._publisher, AbstractAsyncContextManager):
                await stack.enter_async_context(self._publisher)
            await super().serve(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End open streams first: nobody waits for connections that would last for hours."""
        parts: Parts = self._app.state.parts
        parts.streams.end_all()
        await super().shutdown(sockets)


def settle_memory() -> None:
    """Take what the start has built out of the collector's sight.

    It never becomes garbage, and walking it showed as pauses of ten milliseconds in requests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there.

    Raises:
        ConfigurationError: somebody else does already, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(f"API_PORT: {host}:{port} is in use already") from None
        raise ConfigurationError(f"API_HOST: cannot listen on {host}:{port}: {error}") from None
    return listener
