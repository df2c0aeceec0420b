"""A worker whose consumer stops consuming while everything else goes on: pings are answered.

``celery -A tests.stuck_worker worker``: the state in which Celery's consumer can be left by a
connection that broke.
"""

from __future__ import annotations

from typing import Any

from celery import signals

from tasks import app

__all__ = ["app"]


@signals.worker_ready.connect
def _stop_consuming(sender: Any, **_: Any) -> None:
    # Without telling the worker's list of lanes, as `celery control cancel_consumer` would.
    sender.task_consumer.cancel()
