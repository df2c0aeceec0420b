"""Whether this process sends its spans to a collector.

What sends them is an extra: it is imported only where `OTEL_EXPORTER_OTLP_ENDPOINT` is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.settings import Settings
from domain.spans import record_spans

if TYPE_CHECKING:
    from telemetry.otlp import Exporter


class _Place:
    """Holds what exports this process's spans."""

    exporter: Exporter | None = None


def export_spans(settings: Settings, service: str) -> None:
    """Send the spans of this process from now on. Call it after a fork.

    A collector that is away costs the spans and a line in the log, nothing else.
    """
    address = settings.otel_exporter_otlp_endpoint
    if address is None or _Place.exporter is not None:
        return
    from telemetry.otlp import Exporter  # noqa: PLC0415 - an extra

    _Place.exporter = Exporter(address, service)
    record_spans(_Place.exporter.record)


def end_exporting() -> None:
    """Send what is left, and stop; safe to call twice."""
    exporter, _Place.exporter = _Place.exporter, None
    record_spans(None)
    if exporter is not None:
        exporter.close()
