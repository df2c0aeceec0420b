"""One RESP3 connection on which Redis tells which keys that were read here have changed.

Answers and notices are handed on in the order in which the server wrote them, at once and inside
`data_received`: a coroutine that waits for an answer may run after a later notice, and would then
keep what is already known to be wrong. That is why this is no pooled connection of the client.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelConnectionPool

from cache.commands import Argument
from cache.keys import EPOCH
from cache.lua import script
from domain.errors import ConfigurationError

_OPEN_SECONDS = 1.0
_NOT_ENOUGH = object()

OnAnswer = Callable[[Any], None]
OnChanged = Callable[[Sequence[bytes] | None], None]
"""Which keys changed; None: all of them."""


class TrackingRefusedError(Exception):
    """The server answers, but does not track: too old, a proxy, no right, or a replica."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a client's server is, and how one logs in there."""

    host: str
    port: int
    database: int
    path: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: SSLContext | None = None

    @classmethod
    def of(cls, client: Redis) -> Server:
        """Return where a client connects to.

        Raises:
            ConfigurationError: to more than one server, or to whichever a Sentinel names.
        """
        given: object = client  # a cluster's client only looks like one of one server
        pool = None if isinstance(given, RedisCluster) else client.connection_pool
        if pool is None or isinstance(pool, SentinelConnectionPool):
            raise ConfigurationError(
                "LOCAL_COPY: works with one server (redis://, rediss:// or unix:// in REDIS_URL), "
                "not with a cluster or Sentinels"
            )
        known: Any = pool.connection_class(**pool.connection_kwargs)  # opens nothing
        return cls(
            host=getattr(known, "host", ""),
            port=int(getattr(known, "port", 0)),
            database=int(known.db or 0),
            path=known.path if isinstance(known, UnixDomainSocketConnection) else None,
            username=known.username,
            password=known.password,
            tls=known.ssl_context.get() if isinstance(known, SSLConnection) else None,
        )

    def greeting(self, *, tracked: bool) -> list[tuple[Argument, ...]]:
        """Return the commands that make a new connection ours, and a tracking one if it shall be.

        The server's history is named first, as on every other connection (see
        `scripts/history.lua`): after a restart the old name would make old values fresh.
        """
        hello: tuple[Argument, ...] = ("HELLO", 3)
        if self.password is not None:
            hello = (*hello, "AUTH", self.username or "default", self.password)
        tracking: list[tuple[Argument, ...]] = [("CLIENT", "TRACKING", "ON")]
        return [
            hello,
            ("SELECT", self.database),
            ("EVAL", script("history").source, 1, EPOCH),
            *(tracking if tracked else ()),
        ]


def pack(command: Sequence[Argument]) -> bytes:
    """Return a command as the protocol writes it."""
    packed: bytes = hiredis.pack_command(tuple(command))  # type: ignore[arg-type]  # its stub
    return packed


class TrackingConnection(asyncio.Protocol):
    """Sends commands without waiting for the one before; ends at the first thing that is wrong."""

    def __init__(self, on_changed: OnChanged, on_lost: Callable[[], None]) -> None:
        self._on_changed = on_changed
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(notEnoughData=_NOT_ENOUGH)
        self._asked: deque[tuple[OnAnswer, int]] = deque()
        self._answers: list[Any] = []
        self._unsent: list[bytes] = []
        self._ended = asyncio.Event()

    @classmethod
    async def open(
        cls,
        server: Server,
        on_changed: OnChanged,
        on_lost: Callable[[], None],
        *,
        tracked: bool = True,
    ) -> TrackingConnection:
        """Connect, log in and switch tracking on.

        Raises:
            OSError: the server cannot be reached (a `TimeoutError` is one too).
            TrackingRefusedError: it can, and does not track.
        """
        loop = asyncio.get_running_loop()
        connection = cls(on_changed, on_lost)
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                if server.path is None:
                    await loop.create_connection(
                        lambda: connection, server.host, server.port, ssl=server.tls
                    )
                else:
                    await loop.create_unix_connection(lambda: connection, server.path)
                await connection._greet(server.greeting(tracked=tracked))
        except BaseException:
            connection.close()
            raise
        return connection

    async def _greet(self, greeting: Sequence[Sequence[Argument]]) -> None:
        for command in greeting:
            answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self.ask(command, answered.set_result)
            ended = asyncio.ensure_future(self._ended.wait())
            await asyncio.wait({answered, ended}, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            if not answered.done():
                raise ConnectionResetError("the server hung up")
            if isinstance(answered.result(), hiredis.ReplyError):
                # The server's words stay out: they may repeat what was sent.
                raise TrackingRefusedError(str(command[0]))

    @property
    def is_open(self) -> bool:
        """Tell whether nothing has gone wrong yet."""
        return not self._ended.is_set()

    async def wait_ended(self) -> None:
        """Return when the connection is over."""
        await self._ended.wait()

    def ask(self, command: Sequence[Argument], on_answer: OnAnswer) -> None:
        """Send a command; `on_answer` is called when its answer arrives, never after the end."""
        if self.is_open:
            self._asked.append((on_answer, 1))
            self._unsent.append(pack(command))
            self._send()

    def ask_packed(self, packed: bytes, on_answer: OnAnswer, *, commands: int = 1) -> None:
        """Send at the end of this tick commands that `pack` has packed, with all asked in it.

        What is asked again is packed once; a write of its own would be half of what it costs. The
        answer to several commands is the list of their answers.
        """
        if not self.is_open:
            return
        self._asked.append((on_answer, commands))
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send)
        self._unsent.append(packed)

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent and self._transport is not None and self.is_open:
            self._transport.write(b"".join(unsent))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the socket."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Apply all that has arrived, in its order."""
        self._reader.feed(data)
        try:
            while self.is_open and (message := self._reader.gets()) is not _NOT_ENOUGH:
                self._apply(message)
        except hiredis.ProtocolError:
            self.close()

    def _apply(self, message: Any) -> None:
        if not isinstance(message, hiredis.PushNotification):
            self._answered(message)
        elif message[0] == b"invalidate":
            self._on_changed(message[1])

    def _answered(self, message: Any) -> None:
        on_answer, commands = self._asked[0]
        if commands == 1:
            self._asked.popleft()
            on_answer(message)
            return
        self._answers.append(message)
        if len(self._answers) == commands:
            self._asked.popleft()
            answers, self._answers = self._answers, []
            on_answer(answers)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        del exc
        self.close()

    def close(self) -> None:
        """End it now: nothing that arrives later is applied."""
        if not self.is_open:
            return
        self._ended.set()
        if self._transport is not None:
            self._transport.abort()
        self._on_lost()
