"""The steps of a request's way as spans, for whoever records them; mostly nobody does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from domain.trace import Trace


class SpanKind(Enum):
    """Which part a step plays, in OpenTelemetry's words."""

    SERVER = "server"
    CONSUMER = "consumer"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Span:
    """One step that has ended.

    Attributes:
        trace: which step of whose request.
        name: what was done; of a small set, never an address.
        kind: which part it plays.
        begun_ns: when it began, ns since the epoch.
        ended_ns: when it ended.
        failed: it did not do what it was for.
        attributes: more about it; no secrets and no addresses.
    """

    trace: Trace
    name: str
    kind: SpanKind
    begun_ns: int
    ended_ns: int
    failed: bool
    attributes: Mapping[str, str | int]


class _Place:
    """Holds this process's recorder."""

    record: Callable[[Span], None] | None = None


def record_spans(record: Callable[[Span], None] | None) -> None:
    """Say who is told of each step of this process (he neither blocks nor raises); None: nobody."""
    _Place.record = record


def span_ended(
    trace: Trace | None,
    name: str,
    kind: SpanKind,
    begun_ns: int,
    *,
    failed: bool,
    attributes: Mapping[str, str | int],
) -> None:
    """Tell the recorder, if there is one, of a step that ends now."""
    if _Place.record is not None and trace is not None:
        _Place.record(Span(trace, name, kind, begun_ns, time.time_ns(), failed, attributes))
