"""Spans for a collector, by OTLP over HTTP: the only module that knows OpenTelemetry.

The names of the steps are made elsewhere (`domain.trace`) and are told as they are.
"""

from __future__ import annotations

import threading

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from domain import spans
from domain.trace import Trace

_PATH = "/v1/traces"
_SECONDS = 2.0
"""How long one batch is tried: so long the end of a process waits for a collector that is away."""

_KINDS = {
    spans.SpanKind.SERVER: SpanKind.SERVER,
    spans.SpanKind.CONSUMER: SpanKind.CONSUMER,
    spans.SpanKind.CLIENT: SpanKind.CLIENT,
}


class _GivenIds(IdGenerator):
    """Hands out the names that a step has already; one thread's are not another's."""

    def __init__(self) -> None:
        self._now = threading.local()

    def take(self, trace: Trace) -> None:
        self._now.trace = trace

    def generate_span_id(self) -> int:
        return int(self._now.trace.span_id, 16)

    def generate_trace_id(self) -> int:
        return int(self._now.trace.trace_id, 16)


class Exporter:
    """Sends spans in batches, from a thread of its own."""

    def __init__(self, address: str, service: str) -> None:
        self._ids = _GivenIds()
        self._provider = TracerProvider(
            id_generator=self._ids,
            resource=Resource.create({"service.name": service}),
            shutdown_on_exit=False,  # whoever opens it closes it
        )
        endpoint = address.rstrip("/") + _PATH
        self._provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(endpoint, timeout=_SECONDS))
        )
        self._tracer = self._provider.get_tracer("balance-cache")

    def record(self, ended: spans.Span) -> None:
        """Queue a step that has ended; a full queue forgets it."""
        self._ids.take(ended.trace)
        span = self._tracer.start_span(
            ended.name,
            context=_below(ended.trace),
            kind=_KINDS[ended.kind],
            attributes={**ended.attributes, "request.id": ended.trace.request_id},
            start_time=ended.begun_ns,
        )
        if ended.failed:
            span.set_status(StatusCode.ERROR)
        span.end(ended.ended_ns)

    def close(self) -> None:
        """Send what is left, and end the thread."""
        self._provider.shutdown()


def _below(trace: Trace) -> Context:
    """Return the place below a step's parent; an empty one for the first step."""
    if trace.parent_id is None:
        return Context()
    parent = SpanContext(
        int(trace.trace_id, 16),
        int(trace.parent_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return set_span_in_context(NonRecordingSpan(parent), Context())
