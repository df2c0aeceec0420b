"""The measures of this process, or of a worker and all its pool processes together."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from telemetry.counting import ProcessMeasures

_DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The library finds the directory by this variable whenever it opens a file."""


@dataclass
class _State:
    measures: ProcessMeasures | None = None
    directory: tempfile.TemporaryDirectory[str] | None = None
    owner: int | None = None


_state = _State()


def process_measures() -> ProcessMeasures:
    """Return the measures of this process; made at first use."""
    if _state.measures is None:
        _state.measures = ProcessMeasures(CollectorRegistry())
    return _state.measures


def share_with_children() -> None:
    """Count in files, so that this process can add up what it and its children counted.

    To be called once, before anything is counted and before the children are forked. The library
    decides for or against files when it is imported, by a variable; Celery's command line imports
    it (for Flower) before any code of ours runs. So the decision is made here again.
    """
    if _state.directory is not None:
        return
    if _state.measures is not None:
        raise RuntimeError("something was counted already")
    _state.directory = tempfile.TemporaryDirectory(
        prefix="balance-cache-metrics-", ignore_cleanup_errors=True
    )
    _state.owner = os.getpid()
    os.environ[_DIRECTORY_VARIABLE] = _state.directory.name
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]  # the library's
    process_measures()


def end_sharing() -> None:
    """Remove the files; only the process that made them does."""
    if _state.directory is not None and _state.owner == os.getpid():
        _state.directory.cleanup()


def counted_registry() -> CollectorRegistry:
    """Return a registry with everything that this process and its children counted."""
    if _state.directory is None:
        return process_measures().registry
    _forget_the_dead(Path(_state.directory.name))
    registry = CollectorRegistry()
    path = _state.directory.name
    MultiProcessCollector(registry, path)  # type: ignore[no-untyped-call]  # the library's
    return registry


def _forget_the_dead(directory: Path) -> None:
    """What a process saw ends with it; what it counted stays."""
    for path in directory.glob("gauge_live*.db"):
        process_id = int(path.stem.rpartition("_")[2])
        if not _lives(process_id):
            mark_process_dead(process_id, str(directory))  # type: ignore[no-untyped-call]  # the library's


def _lives(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
