"""Runs coroutines one server command at a time, in an order that somebody else decides.

No event loop: production code awaits its commands; here each command is handed up to a
scheduler, which sends it over one plain socket when that actor's turn comes.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import hiredis
import pytest
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

import cache.commands
from cache.commands import Command, Commands
from cache.lua import Script, script
from domain.together import Answer, Apart, Question, Send

Where = int | str
"""The port of a server, or the path of its socket, which costs half as much a round trip."""

SCRIPTS = (
    "acquire",
    "publish",
    "invalidate",
    "release",
    "extend",
    "clear",
    "clear_flags",
    "require",
)


_TIMEOUT_SECONDS = 10


class Turn:
    """Awaiting it hands a command, or several, to the scheduler; None is a step without one."""

    def __init__(self, command: Command | tuple[Command, ...] | None = None) -> None:
        self._command = command

    def __await__(self) -> Generator[Command | tuple[Command, ...] | None, Any, Any]:
        return (yield self._command)


_NOBODY = Redis()
"""A client that never connects."""


class SteppedCommands(Commands):
    """Sends each script of a batch in a turn of its own: a pipeline is not atomic.

    A batch of plain reads is one turn: no answer of ours depends on two of its commands.
    """

    def __init__(self) -> None:
        super().__init__(_NOBODY)  # the socket below answers instead

    def shared(self, send: Send[Question, Answer], *, most: int) -> Apart[Question, Answer]:
        del most
        return Apart(send)  # there is no event loop, and actors are to be processes of their own

    async def get_many(self, keys: Sequence[str | bytes]) -> Sequence[bytes | None]:
        return cast("list[bytes | None]", await Turn(("MGET", *keys)))

    async def batch(self, commands: Sequence[Command]) -> list[Any]:
        if commands[0][0] == "EVALSHA":
            return [await Turn(command) for command in commands]
        return cast("list[Any]", await Turn(tuple(commands)))


def open_socket(where: Where) -> socket.socket:
    """Connect to a server on this machine."""
    if isinstance(where, str):
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(_TIMEOUT_SECONDS)
        connected.connect(where)
        return connected
    connected = socket.create_connection(("127.0.0.1", where), timeout=_TIMEOUT_SECONDS)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


class PlainServer:
    """One blocking connection, as quick as Python can be."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self._socket = open_socket(where)
        self._reader = hiredis.Reader(replyError=ResponseError)
        for name in SCRIPTS:
            self.execute("SCRIPT", "LOAD", script(name).source)

    def execute(self, *command: Any) -> Any:
        """Send one command, or several tuples at once; an error is returned, not raised."""
        if isinstance(command[0], tuple):
            self._socket.sendall(b"".join([hiredis.pack_command(one) for one in command]))
            return [self._answer() for _ in command]
        self._socket.sendall(hiredis.pack_command(command))
        return self._answer()

    def _answer(self) -> Any:
        while (answer := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(65_536))
        if isinstance(answer, ResponseError) and str(answer).startswith("NOSCRIPT"):
            return NoScriptError(str(answer))
        return answer

    def close(self) -> None:
        self._socket.close()


def break_script(
    server: PlainServer, monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str
) -> None:
    """Let production code run a broken copy of one script."""
    original = script(name)
    assert old in original.source
    source = original.source.replace(old, new)
    broken = Script(name, source, server.execute("SCRIPT", "LOAD", source).decode())
    monkeypatch.setattr(
        cache.commands, "script", lambda wanted: broken if wanted == name else script(wanted)
    )


@dataclass
class Actor:
    """A coroutine under the scheduler. One step sends one command and runs to the next one."""

    name: str
    start: Callable[[], Coroutine[Any, Any, None]]
    done: bool = False
    dies_next: bool = False
    _running: Coroutine[Any, Any, None] | None = None
    _command: Command | tuple[Command, ...] | None = None

    def step(self, server: PlainServer | None) -> None:
        try:
            if self._running is None:
                self._running = self.start()
                self._command = self._running.send(None)
            answer = None
            if self._command is not None:
                assert server is not None
                answer = server.execute(*self._command)
            if self.dies_next:
                self.kill()
                return
            self._command = self._running.send(answer)
        except StopIteration:
            self.done = True

    def kill(self) -> None:
        """End it where it stands, as `kill -9` ends a worker: its last command was sent."""
        if self._running is not None:
            self._running.close()
        self.done = True


@dataclass
class Schedule:
    """Chooses who is next: follows `prefix`, then always the first; records what it could do.

    The first `fixed` choices are never changed.
    """

    prefix: list[int] = field(default_factory=list)
    fixed: int = 0
    taken: list[int] = field(default_factory=list)
    width: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        return ".".join(map(str, self.taken))

    def choose(self, options: int) -> int:
        at = len(self.taken)
        choice = self.prefix[at] if at < len(self.prefix) else 0
        self.taken.append(choice)
        self.width.append(options)
        return choice

    def next(self) -> Schedule | None:
        """Return the next schedule in depth-first order, None after the last."""
        for at in reversed(range(self.fixed, len(self.taken))):
            if self.taken[at] + 1 < self.width[at]:
                return Schedule([*self.taken[:at], self.taken[at] + 1], self.fixed)
        return None


def run(
    actors: Sequence[Actor],
    server: PlainServer | None,
    choose: Callable[[int], int],
    tick: Callable[[], None],
) -> list[str]:
    """Run all actors to their ends; returns whose turn it was at each step."""
    order = []
    while ready := [actor for actor in actors if not actor.done]:
        actor = ready[choose(len(ready))]
        order.append(actor.name)
        tick()
        actor.step(server)
    return order
