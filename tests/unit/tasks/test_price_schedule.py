"""When beat looks whether prices are due."""

from __future__ import annotations

import pytest

from config.settings import Settings
from tasks.names import REFRESH_PRICES
from tasks.schedule import beat_schedule


@pytest.mark.parametrize(("interval", "looks"), [(1_500.0, 15.0), (2.0, 2.0)])
def test_a_new_deployment_soon_has_prices_and_a_look_that_waited_is_dropped(
    interval: float, looks: float
) -> None:
    settings = Settings(price_source="prices.json", price_refresh_seconds=interval)
    [entry] = [e for e in beat_schedule(settings).values() if e["task"] == REFRESH_PRICES]

    assert entry["schedule"] == looks
    assert (entry["options"]["queue"], entry["options"]["expires"]) == ("refresh", looks)


def test_without_a_source_nobody_looks() -> None:
    entries = beat_schedule(Settings(price_source=None)).values()

    assert REFRESH_PRICES not in {entry["task"] for entry in entries}
