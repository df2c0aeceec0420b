"""docs/tasks.md tells every task as it is."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from tasks import app, names

PAGE = (Path(__file__).parents[3] / "docs" / "tasks.md").read_text()
_PREFIXES = ("balances.", "broker.", "prices.")
NAMES = {
    value
    for name, value in vars(names).items()
    if name.isupper() and isinstance(value, str) and value.startswith(_PREFIXES)
}


def test_every_task_has_a_name_that_others_can_import() -> None:
    app.loader.import_default_modules()

    assert {name for name in app.tasks if name.startswith(_PREFIXES)} == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_task_is_documented_with_its_arguments_and_its_lane(name: str) -> None:
    app.loader.import_default_modules()
    row = re.search(rf"^\| `{re.escape(name)}\((.*?)\)` \| `(\w+)` \|", PAGE, re.MULTILINE)
    task: Any = app.tasks[name]
    parameters = list(inspect.signature(task.run.__wrapped__).parameters.values())[1:]

    assert row is not None
    documented = [part.partition("=")[0] for part in row[1].split(", ") if part]
    assert documented == [p.name for p in parameters]
    assert row[2] == task.queue
