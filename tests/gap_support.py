"""A link that can be cut without either end being told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gap:
    """A link to a server that can be cut without either end being told."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._is_cut = False
        self._cuts = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        self._is_cut = True
        self._cuts += 1

    def heal(self) -> None:
        """Let new connections through; the old ones stay dead."""
        self._is_cut = False

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        for source, target in ((reader, there_writer), (there_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, target))
            self._tasks.add(task)

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        cuts = self._cuts
        try:
            while data := await source.read(65_536):
                if self._is_cut or self._cuts > cuts:
                    await asyncio.Event().wait()
                target.write(data)
        finally:
            target.close()
