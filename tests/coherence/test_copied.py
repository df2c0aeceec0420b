"""Every order in which a process with a copy can hear of what others do; each rule is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from cache.copies import Copies
from cache.local_copy import LocalCopy
from domain.values import Fresh
from tests.coherence.checking import explore, sample
from tests.coherence.copy_scenarios import COPIED_LARGE, COPIED_SMALL
from tests.coherence.copying import OursCopied, Wire
from tests.coherence.scenarios import Scenario
from tests.coherence.stepping import PlainServer

SMALL = {scenario.name: scenario for scenario in COPIED_SMALL}


@pytest.fixture
def make(server: PlainServer) -> Iterator[Callable[[], OursCopied]]:
    wire = Wire(server.where)
    yield partial(OursCopied, wire)
    wire.close()


@pytest.mark.parametrize("name", SMALL)
def test_the_law_holds_with_a_copy_in_every_interleaving(
    name: str, server: PlainServer, make: Callable[[], OursCopied]
) -> None:
    findings = explore(SMALL[name], make, server)

    assert findings.violating == 0, findings.first
    assert findings.copied_reads > 0, "the copy was not used: nothing was shown"


@pytest.mark.parametrize("scenario", COPIED_LARGE, ids=lambda one: one.name)
def test_the_law_holds_with_a_copy_in_drawn_interleavings(
    scenario: Scenario, server: PlainServer, make: Callable[[], OursCopied]
) -> None:
    findings = sample(scenario, make, server, count=400, seed=4)

    assert findings.violating == 0, findings.first
    assert findings.copied_reads > 50


def _nothing(*_: Any) -> None:
    return


_answer, _learn = Copies.answer, LocalCopy.learn


def _believe_for_ever(copies: Copies, *given: Any) -> None:
    _answer(copies, *given)
    copies._trusted_until = float("inf")


def _learn_only_fresh(copy: LocalCopy, chain_id: int, answers: Any) -> None:
    _learn(copy, chain_id, {a: one for a, one in answers.items() if isinstance(one, Fresh)})


RULES: dict[str, tuple[type, str, Any, str]] = {
    "what changed is dropped": (Copies, "_drop", _nothing, "told in time"),
    "an own change is not waited for": (LocalCopy, "forget", _nothing, "an own invalidation"),
    "an own clear is not waited for": (LocalCopy, "forget", _nothing, "an own clear"),
    "what others cleared is dropped": (Copies, "_drop", _nothing, "another's clear"),
    "an own change spoils an answer under way": (
        LocalCopy,
        "forget",
        lambda copy, who: [copy._copies._held.pop(one, None) for one in who],
        "an answer behind an own invalidation",
    ),
    "with the link all is dropped": (Copies, "lost", _nothing, "the link is lost"),
    "nothing is believed for long": (Copies, "answer", _believe_for_ever, "nobody tells any more"),
    "what was read newer stays newer": (
        Copies,
        "raise_version",
        _nothing,
        "an answer that is older than a read",
    ),
    "what was seen invalidated is known": (
        LocalCopy,
        "learn",
        _learn_only_fresh,
        "an answer that is old already",
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_without_its_rule_the_copy_breaks_the_law(
    rule: str,
    server: PlainServer,
    make: Callable[[], OursCopied],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where, name, broken, scenario = RULES[rule]
    monkeypatch.setattr(where, name, broken)

    assert explore(SMALL[scenario], make, server).violating > 0
