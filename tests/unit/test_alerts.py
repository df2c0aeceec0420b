"""Alerts fire when they should, have a page to read, and speak of metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from telemetry.names import ALL, Kind
from tests.conftest import require

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
CASES = RULES.with_name("rules_test.yml")
DASHBOARDS = sorted((ROOT / "deploy" / "grafana").glob("*.json"))
_SUFFIXES = {Kind.HISTOGRAM: ("_bucket", "_sum", "_count")}
NAMES = {
    metric.full_name + suffix for metric in ALL for suffix in _SUFFIXES.get(metric.kind, ("",))
}
LABELS = {label for metric in ALL for label in metric.labels} | {"le", "instance"}


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _alerts() -> list[dict[str, Any]]:
    return [rule for rule in _rules() if "alert" in rule]


def _promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    require(program is not None, "promtool (Debian's package prometheus)")
    return subprocess.run(
        [str(program), *arguments],
        cwd=RULES.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_rules_are_rules_and_every_case_comes_out_as_written() -> None:
    checked = _promtool("check", "rules", RULES.name)
    tried = _promtool("test", "rules", CASES.name)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert tried.returncode == 0, tried.stdout + tried.stderr


def test_every_alert_is_tried_and_seen_to_fire() -> None:
    cases = yaml.safe_load(CASES.read_text())["tests"]
    fired = {
        rule["alertname"]
        for case in cases
        for rule in case["alert_rule_test"]
        if rule["exp_alerts"]
    }

    assert fired == {rule["alert"] for rule in _alerts()}


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    pages = re.findall(r"^## (\S+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)

    assert pages == [rule["alert"] for rule in _alerts()]
    for rule in _alerts():
        where = rule["annotations"]["runbook_url"]
        assert where == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"warning", "critical"}


def _queries(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def _check(query: str) -> None:
    used = set(re.findall(r"\bbalance_cache_\w+", query))
    assert used, query
    assert used <= NAMES, query
    assert set(re.findall(r"(\w+)\s*[!=]~?\s*\"", query)) <= LABELS, query
    for listed in re.findall(r"\b(?:by|on) \(([^)]*)\)", query):
        assert {part.strip() for part in listed.split(",") if part.strip()} <= LABELS, query


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_panel_asks_for_metrics_and_labels_that_exist(path: Path) -> None:
    dashboard = json.loads(path.read_text())
    panels = dashboard["panels"]

    for query in _queries(dashboard):
        _check(query)
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert all(panel["targets"] for panel in panels)


def test_every_query_of_the_dashboards_is_one_that_prometheus_can_read(tmp_path: Path) -> None:
    queries = [q for path in DASHBOARDS for q in _queries(json.loads(path.read_text()))]
    rules = [
        {"record": f"panel:query:{number}", "expr": query.replace("$chain", ".*")}
        for number, query in enumerate(q for q in queries if not q.startswith("label_values"))
    ]
    written = tmp_path / "panels.yml"
    written.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    checked = _promtool("check", "rules", str(written))

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_rules_ask_for_metrics_that_exist() -> None:
    recorded = {rule["record"] for rule in _rules() if "record" in rule}
    for rule in _rules():
        query = rule["expr"]
        for name in recorded:
            query = query.replace(name, "balance_cache_reads_total")
        _check(query)


def test_every_metric_is_drawn_somewhere() -> None:
    drawn = " ".join(path.read_text() for path in [*DASHBOARDS, RULES])
    assert {metric.full_name for metric in ALL if metric.full_name not in drawn} == set()
    assert {path.stem for path in DASHBOARDS} == {"overview", "node", "tasks", "freshness"}
