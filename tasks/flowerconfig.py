"""Flower's preset: ``celery -A tasks flower --conf=…/tasks/flowerconfig.py``.

Flower reads the names below as its options. Its address and port are given on its command line or
by its own variables (FLOWER_ADDRESS, FLOWER_PORT). That it has a password is seen to in
`tasks.flower_door`, with this preset and without it.
"""

from __future__ import annotations

from typing import Any

from config.settings import current_settings
from tasks.showing import shown

_settings = current_settings()

basic_auth = list(_settings.flower_logins)

# Flower keeps everything in memory: tasks, and the workers of every container that ever was.
max_tasks = 10_000
max_workers = 200
# A worker that is gone for ten minutes is shown no longer.
purge_offline_workers = 600

# What is kept over a restart is bounded by what is kept at all. Saved once a minute.
persistent = _settings.flower_db is not None
db = _settings.flower_db or "flower"
state_save_interval = 60_000 if persistent else 0

# A busy worker answers late: one second is Flower's own default, and then it shows nothing.
inspect_timeout = 5_000.0
tasks_columns = "name,uuid,state,args,received,runtime,worker"


def format_task(task: Any) -> Any:
    """Show a task's arguments in short, whoever published it."""
    task.args = shown(str(task.args or ""))
    task.kwargs = shown(str(task.kwargs or ""))
    if task.exception:
        task.exception = shown(str(task.exception))
    return task
