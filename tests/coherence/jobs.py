"""The whole check in portions, and the names of its runs.

A run is named ``20261127:5512`` (seed and number of a drawn one) or ``one fetch@redis:0.1.1.2``
(a cast, where it plays, and who was chosen at each step). Its name alone repeats it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.coherence.checking import Findings, MakeSystem, explore, perform
from tests.coherence.copy_scenarios import COPIED_SMALL
from tests.coherence.copying import OursCopied
from tests.coherence.drawing import Stage, check_drawn
from tests.coherence.resend_scenarios import RESENT
from tests.coherence.resending import OursResending
from tests.coherence.scenarios import LARGE, ON_REDIS, ON_THE_TWIN, PROLONGED, Scenario
from tests.coherence.stepping import PlainServer, Schedule
from tests.coherence.systems import ours_on_redis, the_twin

_DRAWN_AT_ONCE = 500

_ON: dict[str, Callable[[Stage], tuple[MakeSystem, PlainServer | None]]] = {
    "redis": lambda stage: (ours_on_redis, stage.server),
    "copy": lambda stage: (partial(OursCopied, stage.wire), stage.server),
    "resent": lambda stage: (partial(OursResending, stage.wire), stage.server),
    "twin": lambda _: (the_twin, None),
}

CASTS: dict[str, Scenario] = {
    f"{scenario.name}@{place}": scenario
    for place, scenarios in (
        ("redis", (*ON_REDIS, *PROLONGED, *LARGE)),
        ("copy", COPIED_SMALL),
        ("resent", RESENT),
        ("twin", ON_THE_TWIN),
    )
    for scenario in scenarios
}
"""What is played in every order."""


@dataclass(frozen=True)
class Orders:
    """Every order of a cast in which a given actor begins."""

    cast: str
    first: int

    def play(self, stage: Stage) -> Findings:
        make, server = _ON[self.cast.partition("@")[2]](stage)
        return explore(CASTS[self.cast], make, server, name=self.cast, begin=(self.first,))


@dataclass(frozen=True)
class Drawn:
    """A portion of the drawn runs."""

    seed: int
    numbers: range

    def play(self, stage: Stage) -> Findings:
        return check_drawn(self.numbers, self.seed, stage)


Job = Orders | Drawn


def every_order() -> list[Job]:
    """Return what plays every order of every cast."""
    return [
        Orders(cast, first)
        for cast, scenario in CASTS.items()
        for first in range(len(scenario.acts))
    ]


def drawn(count: int, seed: int) -> list[Job]:
    """Return what plays so many drawn runs."""
    return [
        Drawn(seed, range(begin, min(begin + _DRAWN_AT_ONCE, count)))
        for begin in range(0, count, _DRAWN_AT_ONCE)
    ]


def play_again(name: str, stage: Stage) -> Findings:
    """Play one run by its name.

    Raises:
        ValueError: it is not the name of a run.
    """
    cast, _, numbers = name.rpartition(":")
    if cast.isdecimal() and numbers.isdecimal():
        return check_drawn([int(numbers)], int(cast), stage)
    if cast not in CASTS:
        raise ValueError(f"not the name of a run: {name}")
    findings = Findings()
    make, server = _ON[cast.partition("@")[2]](stage)
    schedule = Schedule([int(choice) for choice in numbers.split(".")])
    findings.note(*perform(CASTS[cast], make, server, schedule.choose), name)
    return findings
