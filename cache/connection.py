"""Builds the one Redis client of a process and event loop: bounded in size and in waiting."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import hiredis
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
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
"""A pooled connection that a restarted server closed is replaced once; silence is not."""


class QuickConnection(Connection):
    """A TCP connection that packs its commands in C, as it parses its answers, and writes at once.

    The asyncio client packs in Python, at a cost that grows with the number of keys; a read of
    many vaults has three keys for each. Before Python 3.12 it also makes a task for each write, to
    bound it in time, which takes a tenth of a round trip. And it bounds each answer of a batch in
    time, also those that have come with the one before, which takes more than the answer itself.
    """

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        """Return a command as the protocol writes it."""
        if isinstance(args[0], str) and " " in args[0]:  # "CLIENT KILL" is two words
            return super().pack_command(*args)
        return [hiredis.pack_command(args)]  # type: ignore[arg-type]  # its stub knows one argument

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        """Send what `pack_command` or `pack_commands` returned.

        What the transport takes without asking its writer to wait needs no timeout: a server that
        does not read it does not answer either, and the wait for its answer is bounded.
        """
        writer = self._writer
        if writer is not None and isinstance(command, list) and self._can_write_at_once(command):
            writer.writelines(command)
            return
        await super().send_packed_command(command, check_health)

    async def read_response(
        self,
        disable_decoding: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - redis-py's
        *,
        disconnect_on_error: bool = True,
        push_request: bool | None = False,
    ) -> Any:
        """Return the answer to a command that was sent before; what is here already at once."""
        parser: Any = self._parser  # hiredis's, whose types do not tell what it reads with
        if parser._connected and timeout is None and not (disable_decoding or push_request):  # noqa: SLF001
            answer = parser._reader.gets()  # noqa: SLF001
            if isinstance(answer, hiredis.PushNotification):
                await parser.handle_push_response(answer)
            elif isinstance(answer, RedisConnectionError):  # it is loading, for example
                await self.disconnect(nowait=True)
                raise answer
            elif isinstance(answer, ResponseError):
                raise answer
            elif answer is not NOT_ENOUGH_DATA:
                return answer
        return await super().read_response(
            disable_decoding,
            timeout,
            disconnect_on_error=disconnect_on_error,
            push_request=push_request,
        )

    def _can_write_at_once(self, command: list[bytes]) -> bool:
        """Tell whether the writer would not be made to wait (and no health is to be checked)."""
        if self._writer is None or self.health_check_interval:
            return False
        transport = self._writer.transport
        _, most = transport.get_write_buffer_limits()
        waiting = transport.get_write_buffer_size()
        return not transport.is_closing() and waiting + sum(map(len, command)) <= most


def connect(redis_url: str) -> Redis:
    """Build a client; opens nothing yet.

    ``redis+cluster://host:port`` is a Redis Cluster (needs hash tags), ``redis+sentinel://host:port,
    host:port/service/database`` a primary that Sentinels name; both without blanks.

    Every new connection first names the server's history (see `scripts/history.lua`), so that
    values from before a restart or a failover are never taken for fresh. (Not on a cluster.)

    Raises:
        ConfigurationError: the address is not a Redis URL; the message does not repeat it, for
            it may hold a password.
    """
    try:
        scheme, _, rest = redis_url.partition("://")
        if scheme == "redis+cluster":
            return _connect_cluster(f"redis://{rest}")
        if scheme == "redis+sentinel":
            return _connect_sentinel(redis_url)
        pool = BlockingConnectionPool.from_url(
            redis_url,
            max_connections=_POOL_SIZE,
            timeout=_POOL_WAIT_SECONDS,
            redis_connect_func=name_history,
            connection_class=QuickConnection,
            **_bounds(),
        )
    except ValueError as error:
        raise ConfigurationError(
            "REDIS_URL: expected redis://host:port/database, rediss://, unix://, "
            "redis+cluster://host:port or redis+sentinel://host:port/service/database"
        ) from error
    return Redis.from_pool(pool)


def _bounds() -> dict[str, Any]:
    return {
        "socket_timeout": SOCKET_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "retry": Retry(NoBackoff(), _RETRIES, (RedisConnectionError,)),
    }


def _connect_cluster(url: str) -> Redis:
    client = RedisCluster.from_url(url, max_connections=_POOL_SIZE, **_bounds())
    # Not a subclass, but everything here goes through `cache.commands`, which knows both.
    return cast("Redis", client)


class _SentinelClient(Redis):
    """Closes the connections to the Sentinels too, which the client library leaves open."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        pool = cast("SentinelConnectionPool", self.connection_pool)
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def _connect_sentinel(url: str) -> Redis:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("no service")
    sentinels = [_host_and_port(host) for host in hosts.split(",")]
    username, _, password = credentials.partition(":")
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        sentinels,
        sentinel_kwargs={"socket_timeout": CONNECT_SECONDS},
        username=unquote(username) or None,
        password=unquote(password) or None,
        db=int(database or 0),
        redis_connect_func=name_history,
        max_connections=_POOL_SIZE,
        **_bounds(),
    )
    client: Redis = sentinel.master_for(service, redis_class=_SentinelClient)
    return client


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host:
        raise ValueError("no port")
    return host, int(port)


async def name_history(connection: AbstractConnection) -> None:
    """Finish the handshake of a new connection and name the history of its server."""
    await connection.on_connect()
    await connection.send_command("EVAL", script("history").source, 1, EPOCH)
    await connection.read_response()
