"""What happens when a worker process starts and ends: logging, the event loop, the last rites.

Among the modules that the application includes, so that beat has the handlers too.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from typing import Any

import structlog
from billiard import process as billiard_process
from celery import signals

from cache.dead_letters import DeadLetter
from config.logging import configure_logging
from config.settings import current_settings
from domain.errors import BalanceCacheError, ConfigurationError
from runtime.assembly import Runtime
from runtime.start_up import refuse_wrong_chains
from supervisor.processes import die_with_parent
from tasks.dead_letters import keep
from tasks.later import declare_waiting_queues
from tasks.loop import process_loop
from tasks.unanswered import UNANSWERED
from telemetry.spans import end_exporting, export_spans

_COLLECT_AFTER = 10_000
"""New objects until the youngest are looked through: those of some hundred vaults."""

_log = structlog.get_logger("tasks")


@signals.setup_logging.connect
def _set_up_logging(**_: Any) -> None:
    """Worker and beat write the project's one form of log line, not Celery's."""
    configure_logging(current_settings().log_level)
    # One line when a task comes in and one when it has ended is enough.
    logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)
    # It warns of countdowns on quorum queues; we publish none (tasks/later.py).
    logging.getLogger("kombu.transport.native_delayed_delivery").setLevel(logging.ERROR)


@signals.worker_init.connect
def _refuse_wrong_chains(**_: Any) -> None:
    """A worker whose node serves another chain would fetch nothing: it does not start."""
    try:
        asyncio.run(refuse_wrong_chains(current_settings()))
    except ConfigurationError as error:
        sys.stderr.write(f"balance-cache: {error}\n")
        # An exception would be logged by the signal and the worker would start all the same.
        raise SystemExit(2) from None


@signals.worker_process_init.connect
def _open_process(**_: Any) -> None:
    """A pool child ends with its worker, however that ends, and opens its loop at once."""
    parent = getattr(billiard_process.current_process(), "_parent_pid", None)
    if parent is not None and parent != os.getpid():
        die_with_parent(parent, signal.SIGKILL)
    _collect_seldom()
    # Before the loop: asking the nodes who they are is the first that is done.
    export_spans(current_settings(), "balance-cache-worker")
    process_loop.open()


def _collect_seldom() -> None:
    """Leave what is there after the start out of every garbage collection.

    Modules and their objects live as long as the process, and walking them took a fifth of what a
    fetch of many vaults costs.
    """
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


@signals.worker_ready.connect
def _ready(**_: Any) -> None:
    """Tell supervisors that tasks are being consumed from now on."""
    _collect_seldom()
    try:
        declare_waiting_queues()
    except UNANSWERED as error:  # they are declared when the first message waits
        _log.warning("worker.queues_not_declared", reason=str(error))
    _log.info("worker.ready")


@signals.task_unknown.connect
def _keep_unknown(name: str, id: str, message: Any, **_: Any) -> None:  # noqa: A002 - Celery's
    """A message for a task that this version does not have: an older worker's, or a typing error.

    Celery drops it after this. The consumer's process has no event loop: one is made for this.
    """
    args, kwargs, _embedded = message.payload
    lane = str(message.delivery_info.get("routing_key"))
    letter = DeadLetter(name, args, kwargs, lane, id, "no such task")
    try:
        asyncio.run(_keep_letter(letter))
    except (BalanceCacheError, TimeoutError) as error:
        _log.exception("task.unknown_lost", task=name, args=args, kwargs=kwargs, reason=str(error))


async def _keep_letter(letter: DeadLetter) -> None:
    runtime = await Runtime.open(current_settings())
    try:
        await keep(runtime, letter)
    finally:
        await runtime.close()


@signals.worker_process_shutdown.connect
@signals.worker_shutdown.connect
def _close_process(**_: Any) -> None:
    process_loop.close()
    end_exporting()
