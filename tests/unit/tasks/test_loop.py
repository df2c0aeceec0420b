"""One loop and one set of parts per process, opened once, closed at its end."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from domain.errors import RegistryUnavailableError
from supervisor.waiting import wait_until
from tasks.loop import ProcessLoop
from tasks.parts import Parts


@dataclass
class Opened:
    """Parts that only know how often they were opened and closed."""

    events: list[str] = field(default_factory=list)
    failures: int = 0
    close_error: Exception | None = None

    async def open(self) -> Parts:
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise RegistryUnavailableError("not yet")
        self.events.append("opened")
        return cast("Parts", self)

    async def close(self) -> None:
        if self.close_error is not None:
            raise self.close_error
        self.events.append("closed")


@pytest.fixture
def opened() -> Opened:
    return Opened()


async def _running(_: Parts) -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def run(loop: ProcessLoop, work: Callable[[Parts], Any] = _running, seconds: float = 5) -> Any:
    return loop.run(work, deadline_seconds=seconds)


def test_all_tasks_of_a_process_share_one_loop_and_one_set_of_parts(opened: Opened) -> None:
    loop = ProcessLoop(opened.open)
    with ThreadPoolExecutor(8) as threads:
        loops = set(threads.map(lambda _: run(loop), range(32)))
    loop.close()

    assert len(loops) == 1
    assert opened.events == ["opened", "closed"]


def test_closing_twice_is_closing_once_and_leaves_no_thread(opened: Opened) -> None:
    loop = ProcessLoop(opened.open)
    run(loop)
    loop.close()
    loop.close()

    assert opened.events == ["opened", "closed"]
    assert "balance-cache-loop" not in [thread.name for thread in threading.enumerate()]


def test_parts_that_cannot_be_closed_leave_no_thread_either(opened: Opened) -> None:
    opened.close_error = RegistryUnavailableError("the database is away")
    loop = ProcessLoop(opened.open)
    run(loop)
    loop.close()

    assert "balance-cache-loop" not in [thread.name for thread in threading.enumerate()]


def test_work_that_still_runs_when_the_process_ends_is_told_so(opened: Opened) -> None:
    loop = ProcessLoop(opened.open)
    begun = threading.Event()

    async def endless(_: Parts) -> None:
        begun.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(run, loop, endless, 20)
        assert begun.wait(5)
        loop.close()
        with pytest.raises(TimeoutError, match="ending"):
            waiting.result(5)


def test_work_past_its_deadline_is_cancelled(opened: Opened) -> None:
    loop = ProcessLoop(opened.open)
    ended: list[str] = []

    async def endless(_: Parts) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    with pytest.raises(TimeoutError):
        run(loop, endless, 0.05)
    loop.close()

    assert ended == ["cancelled"]


def test_parts_that_could_not_be_opened_are_opened_by_the_next_task(opened: Opened) -> None:
    opened.failures = 1
    loop = ProcessLoop(opened.open)
    with pytest.raises(RegistryUnavailableError):
        run(loop)
    run(loop)
    loop.close()

    assert opened.events == ["opened", "closed"]


def test_a_forked_process_opens_its_own(opened: Opened) -> None:
    loop = ProcessLoop(opened.open)
    run(loop)
    loop._process_id = os.getpid() + 1  # what a forked child finds in its memory
    inherited = loop._loop
    run(loop)

    assert opened.events == ["opened", "opened"]
    loop.close()
    assert inherited is not None
    inherited.call_soon_threadsafe(inherited.stop)
    assert wait_until(lambda: not inherited.is_running(), seconds=5)
    inherited.close()
