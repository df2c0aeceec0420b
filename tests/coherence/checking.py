"""Runs scenarios: every schedule of a small one, or drawn ones in drawn orders."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.coherence.copy_scenarios import draw_copied
from tests.coherence.copying import OursCopied, Wire
from tests.coherence.scenarios import LEASE_ENDS, Casting, Scenario, fetcher, reader
from tests.coherence.stepping import Actor, PlainServer, Schedule, run
from tests.coherence.systems import Ours, System, ours_on_redis, the_twin
from tests.coherence.world import World

MakeSystem = Callable[[], System]

_KILLS_ONE_IN = 16


@dataclass
class Findings:
    """What a check found.

    Attributes:
        interleavings: runs.
        violating: runs in which the law was broken.
        fresh_reads: fresh answers that were checked; without them a check proves nothing.
        copied_reads: how many of them came from a process's copy.
        first: the order of steps of the shortest violating run, and what was wrong.
    """

    interleavings: int = 0
    violating: int = 0
    fresh_reads: int = 0
    copied_reads: int = 0
    published: int = 0
    first: tuple[list[str], list[str]] | None = None
    seeds: list[str] = field(default_factory=list)

    def note(self, world: World, order: list[str], seed: str = "") -> None:
        self.interleavings += 1
        self.fresh_reads += world.fresh_reads
        self.copied_reads += world.copied_reads
        self.published += world.published
        if not world.violations:
            return
        self.violating += 1
        if seed:
            self.seeds.append(seed)
        if self.first is None or len(order) < len(self.first[0]):
            self.first = (order, world.violations)


def explore(scenario: Scenario, make_system: MakeSystem, server: PlainServer | None) -> Findings:
    """Run every schedule of a scenario."""
    findings = Findings()
    schedule: Schedule | None = Schedule()
    while schedule is not None:
        _play(scenario, make_system, server, schedule.choose, findings)
        schedule = schedule.next()
    return findings


def sample(
    scenario: Scenario, make_system: MakeSystem, server: PlainServer | None, count: int, seed: int
) -> Findings:
    """Run drawn schedules of a scenario that has too many of them."""
    findings = Findings()
    for number in range(count):
        chance = random.Random(f"{seed}:{number}")
        _play(scenario, make_system, server, chance.randrange, findings)
    return findings


def replay(
    scenario: Scenario, make_system: MakeSystem, server: PlainServer | None, order: list[str]
) -> Findings:
    """Run one schedule, told by the names of the actors; then whoever is left, in turn."""
    _reset(server)
    findings, world, system = Findings(), World(), make_system()
    actors = scenario.actors(system, world)
    names = iter(order)

    def choose(_: int) -> int:
        wanted = next(names, None)
        ready = [actor.name for actor in actors if not actor.done]
        return 0 if wanted is None else ready.index(wanted)

    findings.note(world, run(actors, server, choose, world.tick))
    return findings


def _play(
    scenario: Scenario,
    make_system: MakeSystem,
    server: PlainServer | None,
    choose: Callable[[int], int],
    findings: Findings,
) -> None:
    _reset(server)
    world, system = World(), make_system()
    for actor in scenario.prepared(system, world):
        run([actor], server, lambda _: 0, world.tick)
    order = run(scenario.actors(system, world), server, choose, world.tick)
    _check_progress(system, world, server)
    findings.note(world, order)


def check_drawn(
    count: int, seed: int, server: PlainServer, report: Callable[[int], None] = lambda _: None
) -> Findings:
    """Run drawn scenarios in drawn orders: on the twin, on Redis, on Redis with a copy by turns.

    Run number i depends on the seed and i alone.
    """
    findings, wire = Findings(), Wire(server.port)
    for number in range(count):
        chance = random.Random(f"{seed}:{number}")
        draw, on_redis = chance.randrange, number % 2 == 0
        _reset(server if on_redis else None)
        world = World()
        system: System
        if number % 4 == 0:
            system, scenario = OursCopied(wire), draw_copied(draw)
        else:
            system = ours_on_redis() if on_redis else the_twin()
            scenario = Casting(with_faults=on_redis, choose=draw).draw()
        for actor in scenario.prepared(system, world):
            run([actor], server, lambda _: 0, world.tick)
        actors = scenario.actors(system, world)
        order = run(actors, server, _with_kills(actors, chance), world.tick)
        _check_progress(system, world, server)
        findings.note(world, order, f"{seed}:{number}")
        report(number + 1)
    wire.close()
    return findings


def _with_kills(actors: list[Actor], chance: random.Random) -> Callable[[int], int]:
    """Choose by chance; now and then a fetcher dies before it sees the answer of its step."""

    def choose(options: int) -> int:
        chosen = chance.randrange(options)
        ready = [actor for actor in actors if not actor.done]
        if ready[chosen].name.startswith("fetch") and not chance.randrange(_KILLS_ONE_IN):
            ready[chosen].dies_next = True
        return chosen

    return choose


def _reset(server: PlainServer | None) -> None:
    if server is not None:
        server.execute("FLUSHDB")
        server.execute("SET", "bc:epoch", "the-first-history")


def _check_progress(system: System, world: World, server: PlainServer | None) -> None:
    """When all is quiet, leases are over and the node is up, a fetch brings a fresh answer."""
    before, rising = world.fresh_reads, world.heights_must_rise
    world.confirm()
    acts = [fetcher(), reader()]
    if isinstance(system, Ours) and system.clock is not None:
        system.clock.step(60)
    else:
        acts.insert(0, LEASE_ENDS)
    actors = Scenario("afterwards", tuple(acts), heights_must_rise=rising).actors(system, world)
    run(actors, server, lambda _: 0, world.tick)
    if world.fresh_reads == before:
        world.violations.append("no progress: a quiet cache was not filled")
