"""The list of metrics is the truth: what is told, documented and drawn is in it."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry

from domain.lanes import BrokerState, LaneState
from domain.vitals import CacheVitals, FollowerVitals
from telemetry.counting import ProcessMeasures
from telemetry.names import ALL, COUNTED, PREFIX, SHARED
from telemetry.reference import metrics_page
from telemetry.shared import SharedState

ROOT = Path(__file__).parents[3]


def _full_state() -> SharedState:
    lane = LaneState("warmup", 1, 1, 1.0, 1, 1)
    vitals = CacheVitals({0: 1}, {0: FollowerVitals(1, 1, 1.0)}, 1.0, 1, 1, 1)
    return SharedState(vitals, BrokerState([lane], 1, 1))


def test_everything_that_is_told_is_in_the_list_and_the_other_way_round() -> None:
    registry = CollectorRegistry()
    ProcessMeasures(registry)
    counted = {family.name for family in registry.collect()}
    shared = {family.name for family in _full_state().collect() if family.samples}

    assert counted == {PREFIX + metric.name for metric in COUNTED}
    assert shared == {PREFIX + metric.name for metric in SHARED}


def test_labels_take_few_values() -> None:
    allowed = {"chain_id", "node", "lane", "outcome", "answer", "reason", "source", "kind"}
    allowed |= {"task", "state", "route", "status", "server"}

    assert {label for metric in ALL for label in metric.labels} <= allowed


def test_the_page_of_metrics_is_up_to_date() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")

    assert page == metrics_page(), "run `make docs`"
