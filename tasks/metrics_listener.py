"""``/metrics`` of a worker, told by its first process for all its pool processes."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any, cast

import structlog
from celery import signals

from config.settings import Settings, current_settings
from runtime.scrape import Door, scrape_once
from tasks.lanes import BrokerLanes, open_lanes
from telemetry.exposition import CONTENT_TYPE
from telemetry.process import end_sharing, share_with_children

_PATH = "/metrics"
_SECONDS = 10.0
"""How long a caller may take to say what he wants, and a scrape to answer."""

_log = structlog.get_logger("tasks")


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, settings: Settings, port: int) -> None:
        if ":" in settings.metrics_host:
            self.address_family = socket.AF_INET6
        super().__init__((settings.metrics_host, port), _Handler)
        self.settings = settings
        self.door = Door(settings)
        self.lanes: BrokerLanes = open_lanes(settings)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller who went away is no error; anything else is one line, never a traceback."""
        del request, client_address
        _log.debug("metrics.not_answered", error=type(sys.exc_info()[1]).__name__)


class _Handler(BaseHTTPRequestHandler):
    timeout = _SECONDS
    server_version = "balance-cache"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a scrape."""
        listener = cast("_Listener", self.server)
        # What came through a proxy shows the proxy's address: then the token alone lets in.
        forwarded = "x-forwarded-for" in self.headers or "forwarded" in self.headers
        address = None if forwarded else self.client_address[0]
        if self.path.partition("?")[0] != _PATH:
            self._answer(404, b"not found\n")
        elif not listener.door.is_open(address, self.headers.get("authorization")):
            _log.warning("metrics.refused", address=self.client_address[0])
            self._answer(403, b"forbidden\n")
        else:
            self._scrape(listener)

    def _scrape(self, listener: _Listener) -> None:
        try:
            text = asyncio.run(scrape_once(listener.settings, listener.lanes))
        except Exception:  # noqa: BLE001 - the boundary to whatever is broken
            # The scraper is told, the log has the traceback.
            _log.exception("metrics.broke")
            self._answer(500, b"broken, see the log\n")
        else:
            self._answer(200, text, CONTENT_TYPE)

    def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """A line for each scrape would be noise."""


class _Place:
    """Holds this worker's listener."""

    listener: HTTPServer | None = None


@signals.worker_init.connect
def _open(**_: Any) -> None:
    """Take the port and share the counts before anything is counted and anybody is forked."""
    settings = current_settings()
    if settings.metrics_port is None:
        return
    try:
        _Place.listener = _Listener(settings, settings.metrics_port)
    except OSError as error:
        sys.stderr.write(
            f"balance-cache: METRICS_PORT: cannot listen on {settings.metrics_host}:"
            f"{settings.metrics_port}: {error.strerror}\n"
        )
        raise SystemExit(2) from None
    share_with_children()


@signals.worker_process_init.connect
def _leave_to_parent(**_: Any) -> None:
    """A pool process has nothing to say by itself."""
    if _Place.listener is not None:
        _Place.listener.socket.close()
        _Place.listener = None


@signals.worker_ready.connect
def _serve(**_: Any) -> None:
    listener = _Place.listener
    if listener is None:
        return
    threading.Thread(target=listener.serve_forever, name="metrics", daemon=True).start()
    host, port = listener.server_address[:2]
    _log.info("metrics.served", host=str(host), port=port)


@signals.worker_shutdown.connect
def _close(**_: Any) -> None:
    if _Place.listener is not None:
        _Place.listener.server_close()
    end_sharing()
