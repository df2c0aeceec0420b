"""Breaking connections: what no answer over HTTP can do."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Any

Peer = tuple[str, int] | None

_LINGER_ZERO = struct.pack("ii", 1, 0)
"""Closing a socket with this option sends RST instead of FIN."""


class Connections:
    """The server's open connections, by the address of the other side."""

    def __init__(self) -> None:
        self._open: Callable[[], Iterable[Any]] = list

    def watch(self, connections: Callable[[], Iterable[Any]]) -> None:
        """Say where the server keeps its connections (objects with `client`, `transport`)."""
        self._open = connections

    def end(self, peer: Peer) -> None:
        """Close a connection as soon as what was written is sent."""
        transport = self._transport(peer)
        if transport is not None:
            transport.close()

    def reset(self, peer: Peer) -> None:
        """Reset a connection at once."""
        transport = self._transport(peer)
        if transport is None:
            return
        watched = transport.get_extra_info("socket")
        duplicate = socket.socket(fileno=os.dup(watched.fileno()))
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        duplicate.close()
        transport.abort()

    def _transport(self, peer: Peer) -> asyncio.Transport | None:
        for connection in list(self._open()):
            if peer is not None and connection.client == tuple(peer):
                transport: asyncio.Transport = connection.transport
                return transport
        return None
