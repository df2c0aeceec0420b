"""Whether the registry was asked after the balances beside it were published."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from api.registered import Registered
from api.views import Seen, View


def _view(age_ms: int) -> View:
    """A view of one vault of this age; nothing else of it is looked at."""
    vault: Any = SimpleNamespace(served=SimpleNamespace(answer=SimpleNamespace(age_ms=age_ms)))
    rest: Any = None
    return View(network=rest, vaults=[vault], pricing=rest)


@pytest.mark.parametrize(("age_ms", "one_moment"), [(1_500, True), (900, False)])
def test_one_moment_is_that_of_the_reading_however_long_the_answer_takes(
    monkeypatch: pytest.MonkeyPatch, age_ms: int, one_moment: bool
) -> None:
    """Ages stand still in what was read; the time since the registry was asked goes on."""
    read_at = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: read_at)
    seen = Seen.now([_view(age_ms)], Registered([], asked_at=read_at - 1.0, version=b""))

    monkeypatch.setattr(time, "monotonic", lambda: read_at + 60.0)

    assert seen.one_moment is one_moment
