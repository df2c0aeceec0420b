"""One event loop and one set of parts (connections, pools) per worker process, for its life.

A task submits its coroutine and waits. The loop runs in a thread of its own, so that what
lives between tasks (keep-alive, notifications) is served between tasks too.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

import structlog
import uvloop

from config.settings import current_settings
from domain.errors import BalanceCacheError
from runtime.assembly import Runtime
from tasks.parts import Parts
from telemetry.process import process_measures

_Result = TypeVar("_Result")
_OPEN_SECONDS = 5.0
_CLOSE_SECONDS = 5.0
_CANCEL_SECONDS = 1.0
_log = structlog.get_logger("tasks")


class ProcessLoop:
    """The loop of this process; opened by the first use, closed at the end of the process."""

    def __init__(self, open_runtime: Callable[[], Awaitable[Parts]]) -> None:
        self._open_runtime = open_runtime
        self._guard = threading.Lock()
        self._process_id: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._runtime: Parts | None = None
        self._opening: asyncio.Lock | None = None

    def open(self) -> None:
        """Start the loop and open the parts.

        Parts that cannot be opened now (a database that is down) are opened by the first task
        that needs them: a worker that waits for a service is better than one that dies.
        """
        try:
            self.run(_announce, deadline_seconds=_OPEN_SECONDS)
        except (BalanceCacheError, OSError, TimeoutError) as error:
            _log.warning("worker.parts_unavailable", reason=str(error))

    def run(
        self, work: Callable[[Parts], Awaitable[_Result]], *, deadline_seconds: float
    ) -> _Result:
        """Run the work on the loop and wait for it.

        Raises:
            TimeoutError: it took longer than the deadline; it has been cancelled.
        """
        future = asyncio.run_coroutine_threadsafe(
            self._bounded(work, deadline_seconds), self._running_loop()
        )
        try:
            return future.result()
        except CancelledError as error:
            raise TimeoutError("the worker process is ending") from error
        finally:
            # A soft time limit interrupts the waiting, and then the work must not go on.
            future.cancel()

    def close(self) -> None:
        """Close the parts and end the loop; safe to call twice and in a process without one."""
        with self._guard:
            loop, thread, runtime = self._loop, self._thread, self._runtime
            self._loop = self._thread = self._runtime = None
        if loop is None or thread is None or self._process_id != os.getpid():
            return
        closing = asyncio.run_coroutine_threadsafe(_end(runtime), loop)
        try:
            closing.result(_CLOSE_SECONDS + 2 * _CANCEL_SECONDS)
        except (BalanceCacheError, OSError, TimeoutError) as error:
            _log.warning("worker.parts_not_closed", reason=str(error) or type(error).__name__)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_CLOSE_SECONDS)
            if not thread.is_alive():
                loop.close()

    async def _bounded(
        self, work: Callable[[Parts], Awaitable[_Result]], deadline_seconds: float
    ) -> _Result:
        async with asyncio.timeout(deadline_seconds):
            return await work(await self._opened())

    async def _opened(self) -> Parts:
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:  # two threads of one worker must not open two
            if self._runtime is None:
                self._runtime = await self._open_runtime()
            return self._runtime

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._loop is None or self._process_id != os.getpid():
                self._start()
            loop = self._loop
        if loop is None:  # closed in this instant
            raise TimeoutError("the worker process is ending")
        return loop

    def _start(self) -> None:
        """Start afresh: nothing of a loop survives a fork but its memory."""
        self._process_id = os.getpid()
        self._runtime = None
        self._opening = None
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="balance-cache-loop", daemon=True
        )
        self._thread.start()


async def _announce(parts: Parts) -> None:
    """Ask the nodes who they are, so that a wrong one is named before the first task meets it."""
    for chain_id, error in (await parts.verify_nodes()).items():
        if error is not None:
            _log.error("worker.node_refused", chain_id=chain_id, reason=str(error))


async def _end(runtime: Parts | None) -> None:
    """Close the parts and end what still runs, so that nobody waits for a loop that is no more."""
    try:
        if runtime is not None:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await runtime.close()
    finally:
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=_CANCEL_SECONDS)


def _open_configured() -> Coroutine[Any, Any, Parts]:
    return Runtime.open(current_settings(), process_measures())


process_loop = ProcessLoop(_open_configured)
