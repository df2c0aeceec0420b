"""What travels with a message beside its arguments: when it was published, for whose request.

And how its arguments are shown. Whoever publishes through Celery in this process stamps his
messages: this module is imported wherever tasks are published.
"""

from __future__ import annotations

import time
from typing import Any

from celery import signals

from domain.trace import current_trace
from tasks.showing import shown

PUBLISHED_MS = "published_ms"
"""When a message was published, ms since the epoch by its publisher's clock."""


@signals.before_task_publish.connect
def _stamp(headers: dict[str, Any], **_: Any) -> None:
    headers[PUBLISHED_MS] = int(time.time() * 1000)
    trace = current_trace()
    if trace is not None:
        headers["traceparent"] = trace.traceparent
        headers["request_id"] = trace.request_id
    for name in ("argsrepr", "kwargsrepr"):  # what Flower, logs and `celery inspect` show
        headers[name] = shown(str(headers.get(name) or ""))


def age_seconds(headers: Any) -> float | None:
    """Return how long ago a message was published; None: nobody stamped it."""
    stamp = headers.get(PUBLISHED_MS) if isinstance(headers, dict) else None
    if not isinstance(stamp, int):
        return None
    return max(0.0, time.time() - stamp / 1000)
