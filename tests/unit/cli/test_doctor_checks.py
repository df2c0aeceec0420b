"""`doctor`: what counts as good, doubtful and wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cache.server import ServerReport
from cli.operate import cache_checks, node_checks, task_checks
from cli.operate.findings import Finding, Status, has_wrong
from cli.operate.lanes import Staffed
from cli.output import span
from config.settings import Settings
from domain.lanes import LaneState
from domain.networks import Network
from provider.reports import NodeReport
from tasks.workforce import Workforce

SERVER = ServerReport("7.4.1", "volatile-lru", 2**28, 2**20, 0, "master", 0.01, 0.001)
NETWORK = Network(0, "testnet", ("http://a/graphql", "http://b/graphql"))
NODE = NodeReport("http://a/graphql", None, "0.47.1", 100, 1.0, indexation=True, answer_seconds=0.1)


@pytest.mark.parametrize(
    ("report", "status"),
    [
        (SERVER, Status.GOOD),
        (replace(SERVER, version="7.0.0"), Status.GOOD),
        (replace(SERVER, version="6.2.14"), Status.WRONG),
        (replace(SERVER, version="unknown"), Status.WRONG),
        (replace(SERVER, answer_seconds=0.2), Status.DOUBTFUL),
        (replace(SERVER, policy="noeviction"), Status.DOUBTFUL),
        (replace(SERVER, policy="allkeys-lru"), Status.DOUBTFUL),
        (replace(SERVER, memory_limit=0), Status.DOUBTFUL),
        (replace(SERVER, memory_used=2**28), Status.DOUBTFUL),
        (replace(SERVER, evicted_keys=1), Status.DOUBTFUL),
        (replace(SERVER, role="slave"), Status.WRONG),
        (replace(SERVER, clock_skew_seconds=-5.0), Status.DOUBTFUL),
        (replace(SERVER, clock_skew_seconds=90.0), Status.WRONG),
    ],
)
def test_a_server_is_judged(report: ServerReport, status: Status) -> None:
    checks = (
        cache_checks._version,
        cache_checks._policy,
        cache_checks._memory,
        cache_checks._role,
        cache_checks._clock,
    )
    worst = max((check(report) for check in checks), key=lambda f: list(Status).index(f.status))

    assert worst.status is status
    assert bool(worst.advice) is (status is not Status.GOOD)


def statuses(findings: list[Finding]) -> list[Status]:
    return [finding.status for finding in findings]


def test_one_of_two_nodes_may_be_away_and_not_both() -> None:
    gone = NodeReport("http://b/graphql", "NodeUnreachableError: no connection")

    assert statuses(node_checks._network(NETWORK, [NODE, gone])) == [Status.GOOD, Status.DOUBTFUL]
    assert statuses(node_checks._network(NETWORK, [gone])) == [Status.WRONG]


def test_a_node_of_another_chain_is_wrong_and_one_that_lags_is_doubtful() -> None:
    other = NodeReport("http://b/graphql", "WrongChainError: serves 9889")
    behind = replace(NODE, url="http://b/graphql", height=80)

    assert statuses(node_checks._network(NETWORK, [NODE, other])) == [Status.GOOD, Status.WRONG]
    [_, finding] = node_checks._network(NETWORK, [NODE, behind])
    assert finding.status is Status.DOUBTFUL
    assert "20 blocks behind" in finding.told


@pytest.mark.parametrize(
    "node", [replace(NODE, block_age_seconds=300.0), replace(NODE, indexation=False)]
)
def test_a_chain_that_stands_still_and_a_node_without_index_are_doubtful(node: NodeReport) -> None:
    assert statuses(node_checks._network(NETWORK, [node])) == [Status.DOUBTFUL]


def test_a_lane_without_a_worker_is_wrong_and_an_old_message_doubtful() -> None:
    old = LaneState("warmup", 3, oldest_seconds=90.0)
    young = LaneState("warmup", 3, oldest_seconds=1.0)

    assert task_checks._lane(Staffed(young, ())).status is Status.WRONG
    assert task_checks._lane(Staffed(old, ("w",))).status is Status.DOUBTFUL
    assert task_checks._lane(Staffed(young, ("w",))).status is Status.GOOD


def test_a_broker_that_forgets_or_is_the_cache_itself_is_wrong() -> None:
    facts = {"maxmemory_policy": "volatile-lru", "redis_version": "7.4.1", "aof_enabled": "0"}
    force = Workforce("redis", {}, facts)
    url = "redis://cache.internal:6379/0"
    same = Settings(REDIS_URL=url, celery_broker_url=f"{url[:-2]}")
    found = {f.name: f.status for f in task_checks._broker(same, force)}

    assert found["broker eviction policy"] is Status.WRONG
    assert found["broker persistence"] is Status.DOUBTFUL
    assert found["broker database"] is Status.WRONG

    beside = Settings(REDIS_URL=url, celery_broker_url=f"{url[:-1]}1")
    assert "broker server" in {f.name for f in task_checks._broker(beside, force)}


def test_only_what_is_wrong_makes_the_exit_code() -> None:
    doubtful = Finding("a", Status.DOUBTFUL, "told", "advice")

    assert not has_wrong([doubtful])
    assert has_wrong([doubtful, Finding("b", Status.WRONG, "told", "advice")])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.25, "0.2 s"),
        (42, "42 s"),
        (180, "3 min"),
        (5400, "1.5 h"),
        (86_400, "1 d"),
    ],
)
def test_lengths_of_time_are_for_people(seconds: float | None, text: str) -> None:
    assert span(seconds) == text
