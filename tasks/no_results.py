"""Where results would be kept: nowhere."""

from __future__ import annotations

from celery.backends.base import DisabledBackend


class NoResults(DisabledBackend):
    """Celery's backend that keeps nothing, made once for a process.

    Celery makes one for each thread, and each time looks for plug-ins among all installed packages.
    """

    thread_safe = True
