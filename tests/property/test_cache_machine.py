"""A state machine that may interleave anything, and broken scripts that must not get past it.

No rule ever does nothing: a rule starts an actor or takes one actor's next step. (Rules that
mostly return early let even the naive algorithm pass.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

from cache.local_copy import LocalCopy
from supervisor.valkey import EmbeddedServer
from tests.cache_support import MAINNET
from tests.coherence.acts import (
    BLIND,
    EPOCH_EVICTED,
    FRESH_LIFE_ENDS,
    LAGGING,
    LEASE_ENDS,
    Act,
    bako_invalidator,
    fetcher,
    invalidator,
    reader,
)
from tests.coherence.copy_scenarios import (
    ANOTHER_HISTORY,
    ASKED,
    HELD,
    LINK_LOST,
    TIME_PASSES,
    asks,
    bako_invalidates,
    delivers,
    invalidates_here,
    invalidates_there,
    reads,
)
from tests.coherence.copying import OursCopied, Wire
from tests.coherence.scenarios import Scenario
from tests.coherence.stepping import Actor, PlainServer, break_script, run
from tests.coherence.systems import Ours, ours_on_redis
from tests.coherence.world import Node, World

_MOST_ACTORS = 3
_ENOUGH = 5_000
_FETCHES = tuple(fetcher(node) for node in (Node(), LAGGING, BLIND, Node(slack=1)))


class _Machine(RuleBasedStateMachine):
    """Starts actors and steps them in any order.

    One rule starts any of them: of many rules most would be switched off in most runs.
    """

    server: ClassVar[PlainServer]
    acts: ClassVar[tuple[tuple[str, Act], ...]]
    losing: ClassVar[tuple[tuple[str, Act], ...]] = ()

    def _begin(self, make: Callable[[], Ours], before: tuple[tuple[str, Act], ...]) -> None:
        self.world, self.actors = World(), list[Actor]()
        self.server.execute("FLUSHDB")
        self.server.execute("SET", "bc:epoch", "the-first-history")
        self.system = make()
        for actor in Scenario("before", (), prepare=before).prepared(self.system, self.world):
            run([actor], self.server, lambda _: 0, self.world.tick)

    @precondition(lambda self: len(self.actors) < _MOST_ACTORS)
    @rule(chosen=st.integers(0, 2**16))
    def start(self, chosen: int) -> None:
        acts = self.acts + self.losing
        name, act = acts[chosen % len(acts)]
        if (name, act) in self.losing:
            self.world.heights_must_rise = False
        self.actors.append(Actor(name, lambda: act(self.system, self.world)))

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


class CacheMachine(_Machine):
    """Processes without a copy, and Bako's."""

    acts = (
        *_FETCHES,
        *(invalidator(MAINNET, tells_height=tells) for tells in (True, False)),
        *(invalidator(None), bako_invalidator(), reader(), reader(times=2)),
        *(LEASE_ENDS, FRESH_LIFE_ENDS, EPOCH_EVICTED),
    )

    @initialize(filled=st.booleans())
    def begin(self, filled: bool) -> None:
        self._begin(ours_on_redis, (fetcher(),) if filled else ())


class CopiedMachine(_Machine):
    """A process with a copy, and those who change what it has copied."""

    wire: ClassVar[Wire]
    copied_reads: ClassVar[int]
    acts = (
        *_FETCHES,
        *(invalidates_here(tells_height=tells) for tells in (True, False)),
        *(invalidates_there(tells_height=tells) for tells in (True, False)),
        *(reads(), reads(2), asks(), delivers(), delivers(3), LINK_LOST, TIME_PASSES),
    )
    losing = (bako_invalidates(), FRESH_LIFE_ENDS, ANOTHER_HISTORY)

    @initialize(before=st.sampled_from([HELD, ASKED, ()]))
    def begin(self, before: tuple[tuple[str, Act], ...]) -> None:
        self._begin(lambda: OursCopied(self.wire), before)

    def teardown(self) -> None:
        CopiedMachine.copied_reads += self.world.copied_reads


def run_machine(machine: type[_Machine], server: PlainServer, examples: int) -> None:
    machine.server = server
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
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


@pytest.fixture
def wire(server: PlainServer) -> Iterator[Wire]:
    wire = Wire(server.where)
    CopiedMachine.wire, CopiedMachine.copied_reads = wire, 0
    yield wire
    wire.close()


def test_the_law_holds_whatever_the_machine_does(server: PlainServer) -> None:
    run_machine(CacheMachine, server, examples=300)


@pytest.mark.usefixtures("wire")
def test_the_law_holds_with_a_copy_whatever_the_machine_does(server: PlainServer) -> None:
    run_machine(CopiedMachine, server, examples=300)

    assert CopiedMachine.copied_reads > 0, "the copy was not used: nothing was shown"


def test_a_broken_script_does_not_get_past_the_machine(
    server: PlainServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine can fail; tests/coherence/test_mutants.py breaks more, in every order.

    What is drawn depends on this file; about one run in a hundred shows it; the first one ends it.
    """
    kept = "redis.call('DEL', value)\n  redis.call('SET', chain_flag, now, 'PX', flag_ms)"
    break_script(server, monkeypatch, "invalidate", kept, "")

    with pytest.raises(AssertionError):
        run_machine(CacheMachine, server, examples=_ENOUGH)


@pytest.mark.usefixtures("wire")
def test_a_broken_copy_does_not_get_past_the_machine(
    server: PlainServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tests/coherence/test_copied.py breaks each of its rules."""
    monkeypatch.setattr(LocalCopy, "forget", lambda *_: None)

    with pytest.raises(AssertionError):
        run_machine(CopiedMachine, server, examples=_ENOUGH)
