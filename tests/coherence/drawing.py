"""Drawn casts in drawn orders, each named by a seed and a number."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.coherence.checking import Findings, check_progress, prepare, reset
from tests.coherence.copy_scenarios import draw_copied
from tests.coherence.copying import OursCopied, Wire
from tests.coherence.resend_scenarios import draw_resent
from tests.coherence.resending import OursResending
from tests.coherence.scenarios import Casting
from tests.coherence.stepping import Actor, PlainServer, Where, run
from tests.coherence.systems import System, ours_on_redis, the_twin
from tests.coherence.world import World

_KILLS_ONE_IN = 16


@dataclass(frozen=True)
class Stage:
    """What runs need: a connection to a private server, and the far end of copies' links."""

    server: PlainServer
    wire: Wire

    @classmethod
    def open(cls, where: Where) -> Stage:
        """Connect to a server."""
        return cls(PlainServer(where), Wire(where))

    def close(self) -> None:
        self.wire.close()
        self.server.close()


def check_drawn(numbers: Iterable[int], seed: int, stage: Stage) -> Findings:
    """Run drawn scenarios in drawn orders.

    By turns on the twin, on Redis, on Redis with a copy, and where answers are sent again.

    A run depends on the seed and its number alone.
    """
    findings = Findings()
    for number in numbers:
        chance = random.Random(f"{seed}:{number}")
        draw, on_redis = chance.randrange, number % 2 == 0
        reset(stage.server if on_redis else None)
        world = World()
        system: System
        if number % 8 == 0:
            system, scenario = OursCopied(stage.wire), draw_copied(draw)
        elif number % 4 == 0:
            system, scenario = OursResending(stage.wire), draw_resent(draw)
        else:
            system = ours_on_redis() if on_redis else the_twin()
            scenario = Casting(with_faults=on_redis, choose=draw).draw()
        prepare(scenario, system, world, stage.server)
        actors = scenario.actors(system, world)
        order = run(actors, stage.server, _with_kills(actors, chance), world.tick)
        check_progress(system, world, stage.server)
        findings.note(world, order, f"{seed}:{number}")
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
