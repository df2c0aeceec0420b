"""Counts what happens to tasks and names whose request they serve, by Celery's signals.

In publishers, workers and pool processes.
"""

from __future__ import annotations

import time
from typing import Any

from celery import Task, signals
from structlog.contextvars import bind_contextvars, clear_contextvars

from domain.spans import SpanKind, span_ended
from domain.trace import current_trace, set_trace, trace_from
from tasks import names
from tasks.headers import age_seconds
from tasks.names import Queue
from telemetry.process import process_measures

_OURS = frozenset(
    value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)
)
"""The stable names; any other task is counted as ``other``, whoever made its name up."""

_LANES = frozenset(Queue)
_STATES = {
    "SUCCESS": "succeeded",
    "FAILURE": "failed",
    "RETRY": "retried",
    "REJECTED": "rejected",
    "IGNORED": "ignored",
}
_BEGUN = "balance_cache_begun"
_BEGUN_NS = "balance_cache_begun_ns"


@signals.after_task_publish.connect
def _published(sender: str | None = None, **_: Any) -> None:
    process_measures().task(_known(sender), "published")


@signals.task_received.connect
def _received(request: Any, **_: Any) -> None:
    process_measures().task(_known(request.name), "received")


@signals.task_prerun.connect
def _started(task: Task[..., None], **_: Any) -> None:
    measures = process_measures()
    measures.task(_known(task.name), "started")
    setattr(task.request, _BEGUN, time.monotonic())
    lane = (task.request.delivery_info or {}).get("routing_key")
    waited = age_seconds(task.request.headers)
    if waited is not None and lane in _LANES:
        measures.message_waited(lane, waited)


@signals.task_prerun.connect
def _name(task_id: str, task: Task[..., None], **_: Any) -> None:
    """Let all that is logged, published and asked on the task's behalf carry its request."""
    headers = task.request.headers or {}
    trace = trace_from(headers.get("traceparent"), headers.get("request_id"))
    set_trace(trace)
    setattr(task.request, _BEGUN_NS, time.time_ns())
    clear_contextvars()
    bind_contextvars(
        task_id=task_id,
        task=_known(task.name),
        request_id=trace.request_id,
        trace_id=trace.trace_id,
    )


@signals.task_postrun.connect
def _forget_name(task_id: str, task: Task[..., None], state: str | None = None, **_: Any) -> None:
    begun_ns = getattr(task.request, _BEGUN_NS, None)
    if begun_ns is not None:
        name, end = _known(task.name), _STATES.get(state or "", "failed")
        span_ended(
            current_trace(),
            name,
            SpanKind.CONSUMER,
            begun_ns,
            failed=end == "failed",
            attributes={"messaging.message.id": task_id, "task.state": end},
        )
    set_trace(None)
    clear_contextvars()


@signals.task_postrun.connect
def _ended(task: Task[..., None], state: str | None = None, **_: Any) -> None:
    measures = process_measures()
    measures.task(_known(task.name), _STATES.get(state or "", "failed"))
    begun = getattr(task.request, _BEGUN, None)
    if begun is not None:
        measures.task_ran(_known(task.name), time.monotonic() - begun)


@signals.task_revoked.connect
def _revoked(request: Any, **_: Any) -> None:
    process_measures().task(_known(request.name), "revoked")


def _known(name: str | None) -> str:
    return name if name in _OURS else "other"
