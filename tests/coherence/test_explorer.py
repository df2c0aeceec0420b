"""Every interleaving of a few actors, on a real server and on the twin."""

from __future__ import annotations

import pytest

from tests.coherence.checking import MakeSystem, explore, replay, sample
from tests.coherence.drawing import Stage, check_drawn
from tests.coherence.scenarios import (
    BEYOND_PROMISE,
    LARGE,
    ON_REDIS,
    ON_THE_TWIN,
    PROLONGED,
    SMALL,
    Scenario,
)
from tests.coherence.stepping import PlainServer
from tests.coherence.systems import BakoShipped, TheDocument, ours_on_redis, the_twin

_NAME = [scenario.name for scenario in SMALL]


@pytest.mark.parametrize("scenario", ON_REDIS, ids=lambda one: one.name)
def test_the_law_holds_in_every_interleaving(scenario: Scenario, server: PlainServer) -> None:
    findings = explore(scenario, ours_on_redis, server)

    assert findings.violating == 0, findings.first
    assert findings.interleavings >= 10
    assert findings.fresh_reads > findings.interleavings, "some reads must have seen a value"


@pytest.mark.parametrize("scenario", PROLONGED, ids=lambda one: one.name)
def test_a_lease_has_one_holder_in_every_interleaving(
    scenario: Scenario, server: PlainServer
) -> None:
    findings = explore(scenario, ours_on_redis, server)

    assert findings.violating == 0, findings.first
    assert findings.prolonged > 0, "none was prolonged: nothing was shown"


@pytest.mark.parametrize("scenario", ON_THE_TWIN, ids=lambda one: one.name)
def test_the_law_holds_on_the_twin(scenario: Scenario) -> None:
    findings = explore(scenario, the_twin, None)

    assert findings.violating == 0, findings.first
    assert findings.fresh_reads > findings.interleavings


@pytest.mark.parametrize("algorithm", [TheDocument, BakoShipped], ids=["document", "bako"])
@pytest.mark.parametrize("scenario", SMALL[:4], ids=_NAME[:4])
def test_the_algorithms_before_ours_break_the_law(
    scenario: Scenario, algorithm: MakeSystem, server: PlainServer
) -> None:
    """The checker can fail: what everybody writes first does not pass it."""
    findings = sample(scenario, algorithm, server, count=300, seed=1)

    assert findings.violating > 0
    assert findings.violating < findings.interleavings, "only some orders are wrong: a race"


@pytest.mark.parametrize("scenario", LARGE, ids=lambda one: one.name)
def test_the_law_holds_in_drawn_interleavings(scenario: Scenario, server: PlainServer) -> None:
    findings = sample(scenario, ours_on_redis, server, count=600, seed=4)

    assert findings.violating == 0, findings.first
    assert findings.fresh_reads > findings.interleavings


def test_a_flag_that_comes_and_goes_unseen_is_beyond_our_promise(server: PlainServer) -> None:
    """Bako invalidates between the two commands of its own write, during our fetch."""
    fetch, write, flag = "fetch 9889", "bako fetch 9889", "bako invalidate 9889"
    order = [write, fetch, write, fetch, flag, flag, write]

    findings = replay(BEYOND_PROMISE[1], ours_on_redis, server, order)

    assert findings.violating == 1


def test_a_write_of_another_chain_that_drops_the_flag_of_all_is_beyond_our_promise(
    server: PlainServer,
) -> None:
    """Bako invalidates every chain and then refills another one than ours, during our fetch."""
    fetch, write, flag = "fetch 9889", "bako fetch 0", "bako invalidate None"
    order = [fetch, fetch, flag, flag, write, write, write]

    findings = replay(BEYOND_PROMISE[0], ours_on_redis, server, order)

    assert findings.violating == 1


def test_drawn_casts_in_drawn_orders_keep_the_law(stage: Stage) -> None:
    findings = check_drawn(range(1_500), 20_261_123, stage)

    assert findings.violating == 0, (findings.runs, findings.first)
    assert findings.fresh_reads > findings.interleavings
