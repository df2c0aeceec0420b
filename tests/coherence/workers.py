"""Plays the portions of a check in several processes, each with a private server."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from multiprocessing.queues import SimpleQueue

from supervisor.processes import die_with_parent
from supervisor.valkey import EmbeddedServer
from tests.coherence.checking import Findings
from tests.coherence.drawing import Stage
from tests.coherence.jobs import Job

_SOCKET = "cache.sock"
_stage: Stage


def play_all(jobs: Sequence[Job], workers: int, note: Callable[[Findings], None]) -> None:
    """Play all portions; `note` is told what each has found, in the order of their ends.

    What is found does not depend on who plays what.
    """
    context = multiprocessing.get_context("spawn")
    places: SimpleQueue[str] = context.SimpleQueue()
    with ExitStack() as servers:
        for _ in range(workers):
            places.put(servers.enter_context(private_server()))
        pool = ProcessPoolExecutor(
            workers, context, initializer=_open_stage, initargs=(places, os.getpid())
        )
        try:
            for done in as_completed([pool.submit(_play, job) for job in jobs]):
                note(done.result())
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def private_server() -> Iterator[str]:
    """Start a server; gives the path of its socket."""
    server = EmbeddedServer.start(extra=("--unixsocket", _SOCKET))
    try:
        yield f"{server.directory.name}/{_SOCKET}"
    finally:
        server.stop()


def _open_stage(places: SimpleQueue[str], parent: int) -> None:
    global _stage  # noqa: PLW0603 - a worker has one stage, for as long as it lives
    die_with_parent(parent)
    _stage = Stage.open(places.get())


def _play(job: Job) -> Findings:
    try:
        return job.play(_stage)
    except Exception as error:
        error.add_note(f"in {job}")
        raise
