"""What readers met and were given, in numbers."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from domain.ports import Served, Source
from domain.values import (
    Fresh,
    Missing,
    ReadAnswer,
    Snapshot,
    Stale,
    StaleReason,
    StoredSnapshot,
)
from telemetry.counting import ProcessMeasures
from tests.metrics_support import Scrape

_STORED = StoredSnapshot(Snapshot("0x" + "11" * 32, 0, ()), 1, 1)


@pytest.fixture
def measures() -> ProcessMeasures:
    return ProcessMeasures(CollectorRegistry())


def _told(measures: ProcessMeasures) -> Scrape:
    return Scrape(generate_latest(measures.registry).decode())


def _served(*answers: ReadAnswer) -> list[Served]:
    return [Served(answer, Source.CACHE) for answer in answers]


def test_hits_misses_and_both_ways_of_being_stale_are_told_apart(
    measures: ProcessMeasures,
) -> None:
    measures.looked(0, hits=8, expired=1, invalidated=2, misses=3)
    measures.looked(0, hits=1, expired=0, invalidated=0, misses=0)

    told = _told(measures)

    assert told.value("reads_total", chain_id=0, outcome="hit") == 9
    assert told.value("reads_total", outcome="expired") == 1
    assert told.value("reads_total", outcome="invalidated") == 2
    assert told.value("reads_total", outcome="miss") == 3


def test_ages_fall_into_their_buckets_bounds_included(measures: ProcessMeasures) -> None:
    measures.served(9889, _served(Fresh(_STORED, 500), Fresh(_STORED, 501), Fresh(_STORED, 10**9)))
    measures.served(9889, _served(Stale(_STORED, 61_000, StaleReason.NODE_DOWN), Missing()))

    told = _told(measures)

    assert told.value("served_age_seconds_bucket", answer="fresh", le="0.5") == 1
    assert told.value("served_age_seconds_bucket", answer="fresh", le="1.0") == 2
    assert told.value("served_age_seconds_bucket", answer="fresh", le="86400.0") == 2
    assert told.value("served_age_seconds_bucket", answer="fresh", le="+Inf") == 3
    assert told.value("served_age_seconds_count", answer="fresh") == 3
    assert told.value("served_age_seconds_sum", answer="stale") == 61.0
    assert told.value("served_total", answer="stale", reason="node_down") == 1
    assert told.value("served_total", answer="missing", reason="none", source="cache") == 1
    assert not told.has("served_age_seconds_count", answer="missing")  # unknown has no age


def test_a_violation_shows_as_a_rise_from_nought(measures: ProcessMeasures) -> None:
    measures.audited(0, agreed=5, late=1, violations={"contradicted": 0, "outdated": 0})
    before = _told(measures)
    measures.audited(0, agreed=4, late=0, violations={"contradicted": 2, "outdated": 0})
    after = _told(measures)

    assert before.has("coherence_violations_total", chain_id=0, kind="contradicted")
    assert before.value("coherence_violations_total", chain_id=0) == 0
    assert after.value("coherence_violations_total", chain_id=0, kind="contradicted") == 2
    assert after.value("audited_total", outcome="agreed") == 9
