"""Runs scenarios: every schedule of a small one, or drawn schedules of a larger one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.coherence.acts import LEASE_ENDS, fetcher, reader
from tests.coherence.scenarios import Scenario
from tests.coherence.stepping import PlainServer, Schedule, run
from tests.coherence.systems import Ours, System
from tests.coherence.world import World

MakeSystem = Callable[[], System]

_MOST_NAMED = 10


@dataclass
class Findings:
    """What a check found.

    Attributes:
        interleavings: runs.
        violating: runs in which the law was broken.
        fresh_reads: fresh answers that were checked; without them a check proves nothing.
        copied_reads: how many of them came from a copy, or were sent again.
        first: the order of steps of the shortest violating run, and what was wrong.
        runs: the names of some violating runs; each can be played again by its name.
    """

    interleavings: int = 0
    violating: int = 0
    fresh_reads: int = 0
    copied_reads: int = 0
    published: int = 0
    prolonged: int = 0
    first: tuple[list[str], list[str]] | None = None
    runs: list[str] = field(default_factory=list)

    def note(self, world: World, order: list[str], name: str = "") -> None:
        """Count one run."""
        self.interleavings += 1
        self.fresh_reads += world.fresh_reads
        self.copied_reads += world.copied_reads
        self.published += world.published
        self.prolonged += world.leases.prolonged
        if world.violations:
            self.violating += 1
            self._name((order, world.violations), [name])

    def add(self, other: Findings) -> None:
        """Count what another check found."""
        self.interleavings += other.interleavings
        self.violating += other.violating
        self.fresh_reads += other.fresh_reads
        self.copied_reads += other.copied_reads
        self.published += other.published
        self.prolonged += other.prolonged
        if other.first is not None:
            self._name(other.first, other.runs)

    def _name(self, first: tuple[list[str], list[str]], runs: list[str]) -> None:
        self.runs = [*self.runs, *runs][:_MOST_NAMED]
        if self.first is None or len(first[0]) < len(self.first[0]):
            self.first = first


def explore(
    scenario: Scenario,
    make_system: MakeSystem,
    server: PlainServer | None,
    *,
    name: str = "",
    begin: tuple[int, ...] = (),
    enough: int | None = None,
) -> Findings:
    """Run every schedule of a scenario, or every one that begins with these choices.

    `enough`: so many violating runs end it.
    """
    findings = Findings()
    schedule: Schedule | None = Schedule([*begin], len(begin))
    while schedule is not None and findings.violating != enough:
        world, order = perform(scenario, make_system, server, schedule.choose)
        findings.note(world, order, f"{name}:{schedule}")
        schedule = schedule.next()
    return findings


def sample(
    scenario: Scenario, make_system: MakeSystem, server: PlainServer | None, count: int, seed: int
) -> Findings:
    """Run drawn schedules of a scenario that has too many of them."""
    findings = Findings()
    for number in range(count):
        chance = random.Random(f"{seed}:{number}")
        world, order = perform(scenario, make_system, server, chance.randrange)
        findings.note(world, order, f"{seed}:{number}")
    return findings


def replay(
    scenario: Scenario, make_system: MakeSystem, server: PlainServer | None, order: list[str]
) -> Findings:
    """Run one schedule, told by the names of the actors; then whoever is left, in turn."""
    reset(server)
    findings, world, system = Findings(), World(), make_system()
    actors = scenario.actors(system, world)
    names = iter(order)

    def choose(_: int) -> int:
        wanted = next(names, None)
        ready = [actor.name for actor in actors if not actor.done]
        return 0 if wanted is None else ready.index(wanted)

    findings.note(world, run(actors, server, choose, world.tick))
    return findings


def perform(
    scenario: Scenario,
    make_system: MakeSystem,
    server: PlainServer | None,
    choose: Callable[[int], int],
) -> tuple[World, list[str]]:
    """Run a scenario on an empty server, then see that it goes on.

    Returns what was seen, and the order of steps.
    """
    reset(server)
    world, system = World(), make_system()
    prepare(scenario, system, world, server)
    order = run(scenario.actors(system, world), server, choose, world.tick)
    check_progress(system, world, server)
    return world, order


def prepare(scenario: Scenario, system: System, world: World, server: PlainServer | None) -> None:
    """Let happen what has happened before."""
    for actor in scenario.prepared(system, world):
        run([actor], server, lambda _: 0, world.tick)


def reset(server: PlainServer | None) -> None:
    """Begin with an empty server."""
    if server is not None:
        server.execute(("FLUSHDB",), ("SET", "bc:epoch", "the-first-history"))


def check_progress(system: System, world: World, server: PlainServer | None) -> None:
    """When all is quiet, leases are over and the node is up, a fetch brings a fresh answer."""
    before, rising = world.fresh_reads, world.heights_must_rise
    world.confirm()
    acts = [fetcher(), reader()]
    if isinstance(system, Ours) and system.clock is not None:
        with world.leases.ending():
            system.clock.step(60)
    else:
        acts.insert(0, LEASE_ENDS)
    actors = Scenario("afterwards", tuple(acts), heights_must_rise=rising).actors(system, world)
    run(actors, server, lambda _: 0, world.tick)
    if world.fresh_reads == before:
        world.violations.append("no progress: a quiet cache was not filled")
