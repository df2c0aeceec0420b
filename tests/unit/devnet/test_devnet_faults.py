from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from devnet.faults import Fault, FaultKind, FaultPlan
from domain.errors import InvalidValueError


def drawn(plan: FaultPlan, times: int, **request: Any) -> list[str | None]:
    node, operation = request.get("node", 0), request.get("operation")
    streaming = request.get("streaming", False)
    faults = [plan.draw(node, operation, streaming=streaming) for _ in range(times)]
    return [fault.kind.value if fault else None for fault in faults]


def test_a_fault_strikes_as_often_as_it_counts() -> None:
    plan = FaultPlan()
    fault = plan.add(Fault(FaultKind.RATE_LIMITED, count=2))
    assert drawn(plan, 3) == ["rate_limited", "rate_limited", None]
    assert (fault.struck, fault.spent) == (2, True)


def test_a_fault_can_let_requests_pass_first() -> None:
    plan = FaultPlan()
    plan.add(Fault(FaultKind.RESET, count=1, after=2))
    assert drawn(plan, 4) == [None, None, "reset", None]


def test_a_fault_concerns_the_node_and_the_operation_that_it_names() -> None:
    plan = FaultPlan()
    plan.add(Fault(FaultKind.RESET, node=1, operation="getBlocks"))
    assert drawn(plan, 1, node=0, operation="getBlocks") == [None]
    assert drawn(plan, 1, node=1, operation="getBalances") == [None]
    assert drawn(plan, 1, node=1, operation="getBlocks") == ["reset"]


def test_of_two_faults_the_first_strikes_until_it_is_spent() -> None:
    plan = FaultPlan()
    plan.add(Fault(FaultKind.RESET, count=1))
    plan.add(Fault(FaultKind.TIMEOUT, count=1))
    assert drawn(plan, 3) == ["reset", "timeout", None]


def test_a_probability_strikes_that_often_and_repeats_itself() -> None:
    first, second = FaultPlan(seed=7), FaultPlan(seed=7)
    for plan in (first, second):
        plan.add(Fault(FaultKind.RESET, probability=0.3))
    draws = drawn(first, 2000)
    assert 500 < Counter(draws)["reset"] < 700
    assert drawn(second, 2000) == draws


def test_a_cut_stream_concerns_streams_alone() -> None:
    plan = FaultPlan()
    plan.add(Fault(FaultKind.CUT_STREAM))
    assert drawn(plan, 1) == [None]
    assert drawn(plan, 1, streaming=True) == ["cut_stream"]


def test_faults_can_be_removed() -> None:
    plan = FaultPlan()
    fault = plan.add(Fault(FaultKind.RESET))
    assert plan.remove(fault.number)
    assert not plan.remove(fault.number)
    plan.add(Fault(FaultKind.TIMEOUT))
    plan.clear()
    assert plan.all() == []


def test_a_parameter_that_nobody_gives_has_a_default() -> None:
    assert Fault(FaultKind.SERVER_ERROR).parameters == {"status": 502}
    assert Fault(FaultKind.SERVER_ERROR, parameters={"status": 503}).parameters == {"status": 503}


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"probability": 1.5}, "probability is from 0 to 1"),
        ({"count": 0}, "count is at least 1"),
        ({"after": -1}, "count is at least 1"),
        ({"parameters": {"rows": 1}}, "server_error has no parameter rows"),
        ({"parameters": {"status": 404}}, "status is from 500 to 599"),
        ({"parameters": {"status": "502"}}, "status is a whole number"),
        ({"parameters": {"status": True}}, "status is a whole number"),
    ],
)
def test_a_fault_that_cannot_be_meant_is_refused(fault: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidValueError, match=why):
        Fault(FaultKind.SERVER_ERROR, **fault)
