"""Builds the one Redis client of a process and event loop: bounded in size and in waiting."""

from __future__ import annotations

import hiredis
from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.typing import EncodableT

from cache.keys import EPOCH
from cache.lua import script
from domain.errors import ConfigurationError

SOCKET_SECONDS = 1.0
"""How long one command may take: a cache that answers later is no cache."""

CONNECT_SECONDS = 0.5

_POOL_SIZE = 16
"""One event loop cannot keep more connections busy; each costs a handshake."""

_POOL_WAIT_SECONDS = 2.0
_RETRIES = 1
"""A pooled connection that a restarted server closed is replaced once, without waiting."""


class QuickConnection(Connection):
    """A TCP connection that packs its commands in C, as it parses its answers.

    The asyncio client packs in Python, at a cost that grows with the number of keys; a read of
    many vaults has three keys for each.
    """

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        """Return a command as the protocol writes it."""
        if isinstance(args[0], str) and " " in args[0]:  # "CLIENT KILL" is two words
            return super().pack_command(*args)
        return [hiredis.pack_command(args)]  # type: ignore[arg-type]  # its stub knows one argument


def connect(redis_url: str) -> Redis:
    """Build a client; opens nothing yet.

    Every new connection first names the server's history (see `scripts/history.lua`), so that
    values from before a restart or a failover are never taken for fresh.

    Raises:
        ConfigurationError: the address is not a Redis URL; the message does not repeat it, for
            it may hold a password.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            redis_url,
            max_connections=_POOL_SIZE,
            timeout=_POOL_WAIT_SECONDS,
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=CONNECT_SECONDS,
            retry=Retry(NoBackoff(), _RETRIES),
            redis_connect_func=name_history,
            connection_class=QuickConnection,
        )
    except ValueError as error:
        raise ConfigurationError(
            "REDIS_URL: expected redis://host:port/database, rediss:// or unix://"
        ) from error
    return Redis.from_pool(pool)


async def name_history(connection: AbstractConnection) -> None:
    """Finish the handshake of a new connection and name the history of its server."""
    await connection.on_connect()
    await connection.send_command("EVAL", script("history").source, 1, EPOCH)
    await connection.read_response()
