"""A log and counters of every request, so that nobody has to guess what a client asks."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

_KEPT = 10_000


@dataclass(slots=True)
class RequestRecord:
    """One request.

    Attributes:
        kind: `graphql`, `subscription` or `health`.
        node: the number of the node that answered.
        operation: the operation's name.
        fields: how many fields of the root it selects; aliases count each.
        owners: of how many different owners it asks.
        required_height: the height that it demands.
        fault: the fault that it met.
        status: the HTTP status; 0 when the connection was cut.
        error: the first GraphQL error.
        bytes_in: size of the request.
        bytes_out: size of the answer.
        milliseconds: how long it took, the latency included.
    """

    kind: str
    node: int = 0
    operation: str | None = None
    fields: int = 0
    owners: int = 0
    required_height: int | None = None
    fault: str | None = None
    status: int = 0
    error: str | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    milliseconds: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def as_json(self) -> dict[str, Any]:
        """Return it for the answer of the admin interface."""
        return {
            "kind": self.kind,
            "node": self.node,
            "operation": self.operation,
            "fields": self.fields,
            "owners": self.owners,
            "requiredHeight": self.required_height,
            "fault": self.fault,
            "status": self.status,
            "error": self.error,
            "bytesIn": self.bytes_in,
            "bytesOut": self.bytes_out,
            "milliseconds": round(self.milliseconds, 3),
        }


class RequestLog:
    """The last requests, and counts of all since the last reset. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._records: deque[RequestRecord] = deque(maxlen=_KEPT)
            self._counts: Counter[str] = Counter()
            self._operations: Counter[str] = Counter()
            self._statuses: Counter[str] = Counter()
            self._faults: Counter[str] = Counter()

    def add(self, record: RequestRecord) -> None:
        """Note a request that is answered."""
        record.milliseconds = (time.monotonic() - record.started) * 1000
        with self._lock:
            self._records.append(record)
            self._counts.update(
                {"total": 1, record.kind: 1, "fields": record.fields, "owners": record.owners}
            )
            self._statuses[str(record.status)] += 1
            if record.operation is not None:
                self._operations[record.operation] += 1
            if record.fault is not None:
                self._faults[record.fault] += 1

    def records(self) -> list[RequestRecord]:
        """Return the last requests, the oldest first."""
        with self._lock:
            return list(self._records)

    def counts(self) -> dict[str, Any]:
        """Return the counts."""
        with self._lock:
            names = ("total", "graphql", "subscription", "health", "fields", "owners")
            return {
                **{name: self._counts[name] for name in names},
                "byOperation": dict(self._operations),
                "byStatus": dict(self._statuses),
                "byFault": dict(self._faults),
            }
