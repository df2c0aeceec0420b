"""A state machine that may interleave anything, and broken scripts that must not get past it.

No rule ever does nothing: a rule starts an actor or takes one actor's next step. (Rules that
mostly return early let even the naive algorithm pass.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from supervisor.valkey import EmbeddedServer
from tests.cache_support import MAINNET
from tests.coherence.scenarios import (
    BLIND,
    EPOCH_EVICTED,
    FRESH_LIFE_ENDS,
    LAGGING,
    LEASE_ENDS,
    bako_invalidator,
    fetcher,
    invalidator,
    reader,
)
from tests.coherence.stepping import Actor, PlainServer, break_script
from tests.coherence.systems import ours_on_redis
from tests.coherence.world import Node, World

_MOST_ACTORS = 3
_NODES = (Node(), LAGGING, BLIND, Node(slack=1))


class CacheMachine(RuleBasedStateMachine):
    """Starts actors and steps them in any order."""

    server: ClassVar[PlainServer]

    @initialize()
    def begin(self) -> None:
        self.world, self.system = World(), ours_on_redis()
        self.actors: list[Actor] = []
        self.server.execute("FLUSHDB")
        self.server.execute("SET", "bc:epoch", "the-first-history")

    def _start(self, named: tuple[str, object]) -> None:
        name, act = named
        self.actors.append(Actor(name, lambda: act(self.system, self.world)))  # type: ignore[operator]  # an act

    def _has_room(self) -> bool:
        return len(self.actors) < _MOST_ACTORS

    @precondition(_has_room)
    @rule(node=st.sampled_from(_NODES))
    def start_fetch(self, node: Node) -> None:
        self._start(fetcher(node))

    @precondition(_has_room)
    @rule(chain_id=st.sampled_from([MAINNET, None]), tells_height=st.booleans())
    def start_invalidation(self, chain_id: int | None, tells_height: bool) -> None:
        self._start(invalidator(chain_id, tells_height=tells_height))

    @precondition(_has_room)
    @rule()
    def start_bako_invalidation(self) -> None:
        self._start(bako_invalidator())

    @precondition(_has_room)
    @rule()
    def start_read(self) -> None:
        self._start(reader())

    @precondition(_has_room)
    @rule(fault=st.sampled_from([LEASE_ENDS, FRESH_LIFE_ENDS, EPOCH_EVICTED]))
    def start_fault(self, fault: tuple[str, object]) -> None:
        self._start(fault)

    @precondition(lambda self: self.actors)
    @rule(chosen=st.integers(0, _MOST_ACTORS - 1))
    def step(self, chosen: int) -> None:
        actor = self.actors[chosen % len(self.actors)]
        self.world.tick()
        actor.step(self.server)
        self.actors = [one for one in self.actors if not one.done]

    @invariant()
    def the_law_holds(self) -> None:
        assert self.world.violations == []


def run_machine(server: PlainServer, examples: int) -> None:
    CacheMachine.server = server
    run_state_machine_as_test(
        CacheMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def server(cache_server: EmbeddedServer) -> Iterator[PlainServer]:
    server = PlainServer(cache_server.port)
    yield server
    server.close()


def test_the_law_holds_whatever_the_machine_does(server: PlainServer) -> None:
    run_machine(server, examples=300)


def test_a_broken_script_does_not_get_past_the_machine(
    server: PlainServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine can fail; tests/coherence/test_mutants.py breaks more."""
    break_script(server, monkeypatch, "publish", "unchanged(chain_flag, lease[3], now)", "true")

    with pytest.raises(AssertionError):
        run_machine(server, examples=1_000)
