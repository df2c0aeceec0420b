"""Who acts around a process that sends answers again; one of them is a user who leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from tests.coherence.acts import FLUSH, Act, fetcher
from tests.coherence.copy_scenarios import (
    LINK_LOST,
    TIME_PASSES,
    asks,
    clears_here,
    delivers,
    fetches_a_newer,
    invalidates_here,
    invalidates_there,
    reads,
)
from tests.coherence.resending import OursResending
from tests.coherence.scenarios import Scenario
from tests.coherence.systems import System
from tests.coherence.world import World


def signs_in() -> tuple[str, Act]:
    async def act(system: System, _: World) -> None:
        await cast("OursResending", system).sign_in()

    return "sign in", act


def signs_out() -> tuple[str, Act]:
    async def act(system: System, world: World) -> None:
        await cast("OursResending", system).sign_out(world)

    return "sign out", act


KEPT = (signs_in(), fetcher(), reads())
"""An answer was sent; whoever wants it again asks Redis first."""

BELIEVED = (*KEPT, reads(), asks(), delivers(9))
"""It was sent again, and is believed unasked until something is told."""

RESENT = (
    Scenario("asked each time", (invalidates_there(), delivers(), reads(2)), prepare=KEPT),
    Scenario(
        "told of an invalidation", (invalidates_there(), delivers(2), reads(2)), prepare=BELIEVED
    ),
    Scenario(
        "an own invalidation of it", (invalidates_here(), delivers(2), reads(2)), prepare=BELIEVED
    ),
    Scenario("told of a newer value", (fetches_a_newer(), delivers(2), reads(2)), prepare=BELIEVED),
    Scenario(
        "an own clear of it",
        (clears_here(), delivers(2), reads(2)),
        heights_must_rise=False,
        prepare=BELIEVED,
    ),
    Scenario("told of a sign-out", (signs_out(), delivers(2), reads(2)), prepare=BELIEVED),
    Scenario(
        "its link is lost", (invalidates_there(), LINK_LOST, asks(), reads(2)), prepare=BELIEVED
    ),
    Scenario(
        "its time passes", (invalidates_there(), TIME_PASSES, asks(), reads(2)), prepare=BELIEVED
    ),
    Scenario(
        "a flush under it",
        (FLUSH, invalidates_there(), delivers(), reads()),
        heights_must_rise=False,
        prepare=BELIEVED,
    ),
)
"""Every schedule is run in the test suite."""


def draw_resent(choose: Callable[[int], int]) -> Scenario:
    """Draw a cast around a process that sends answers again."""
    changes = (
        invalidates_there(),
        invalidates_there(tells_height=False),
        invalidates_here(),
        fetches_a_newer(),
        clears_here(),
        signs_out(),
    )
    faults = (None, None, LINK_LOST, TIME_PASSES, FLUSH)
    chosen, fault = choose(len(changes)), faults[choose(len(faults))]
    acts = [changes[chosen], reads(2 + choose(3)), delivers(1 + choose(4)), asks(1 + choose(2))]
    if choose(2):
        acts.append(fetcher(times=1 + choose(2)))
    if fault is not None:
        acts.append(fault)
    losing = fault is FLUSH or changes[chosen][0] == "clear here"
    prepare = (KEPT, BELIEVED)[choose(2)]
    return Scenario("drawn", tuple(acts), heights_must_rise=not losing, prepare=prepare)
