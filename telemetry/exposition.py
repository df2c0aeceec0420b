"""The text that Prometheus reads."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from telemetry.process import counted_registry
from telemetry.shared import SharedState

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition(shared: SharedState) -> bytes:
    """Return what this process (and its children) counted, and what all share."""
    registry = CollectorRegistry()
    registry.register(shared)
    return generate_latest(counted_registry()) + generate_latest(registry)
