"""What the operator has switched off is not done, and says so in one line."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

_log = structlog.get_logger("tasks")


def is_switched_off(task: str, switches: Mapping[str, bool]) -> bool:
    """Tell whether a task is to do nothing, and log by which setting.

    Args:
        task: its name.
        switches: what the log says of each setting (``ENABLE_BALANCE_CACHE=false``), and whether
            the setting lets the task run.
    """
    for by, is_on in switches.items():
        if not is_on:
            _log.info("task.switched_off", task=task, by=by)
            return True
    return False
