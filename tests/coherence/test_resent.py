"""Every order in which a process that sends answers again can hear of what others do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import cache.versions
from cache.versions import Versions
from tests.coherence.checking import explore
from tests.coherence.drawing import Stage
from tests.coherence.resend_scenarios import RESENT
from tests.coherence.resending import OursResending

SCENARIOS = {scenario.name: scenario for scenario in RESENT}


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_answer_is_sent_again_that_is_not_true_any_more(name: str, stage: Stage) -> None:
    findings = explore(SCENARIOS[name], partial(OursResending, stage.wire), stage.server)

    assert findings.violating == 0, findings.first
    assert findings.copied_reads > 0, "none was sent again: nothing was shown"


def _nothing(*_: Any) -> None:
    return


_lost = Versions._lost


def _believe_after_the_end(versions: Versions) -> None:
    trusted = versions._trusted_until
    held = {one: one.held_until for some in versions._by_name.values() for one in some}
    _lost(versions)
    versions._trusted_until = trusted
    for question, until in held.items():
        question.held_until = until


def _believe_for_ever(versions: Versions, *_: Any) -> None:
    versions._trusted_until = float("inf")


RULES: dict[str, tuple[Any, str, Callable[..., Any], str]] = {
    "versions are compared": (cache.versions, "_matches", lambda *_: True, "asked each time"),
    "what changed is asked for": (Versions, "_changed", _nothing, "told of an invalidation"),
    "a sign-out is heard of": (Versions, "_changed", _nothing, "told of a sign-out"),
    "an own change is not waited for": (
        Versions,
        "forget",
        _nothing,
        "an own invalidation of it",
    ),
    "an own clear is not waited for": (Versions, "forget", _nothing, "an own clear of it"),
    "with the link belief ends": (
        Versions,
        "_lost",
        _believe_after_the_end,
        "its link is lost",
    ),
    "nothing is believed for long": (Versions, "_heard", _believe_for_ever, "its time passes"),
}


@pytest.mark.parametrize("rule", RULES)
def test_without_its_rule_an_answer_is_sent_that_is_not_true(
    rule: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, name, broken, scenario = RULES[rule]
    monkeypatch.setattr(where, name, broken)

    findings = explore(
        SCENARIOS[scenario], partial(OursResending, stage.wire), stage.server, enough=1
    )

    assert findings.violating == 1
