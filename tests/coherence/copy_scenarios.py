"""Who acts around a process with a copy: its readers, its link, and everybody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from tests.cache_support import MAINNET
from tests.coherence.acts import FAILOVER, FLUSH, FRESH_LIFE_ENDS, Act, fault, fetcher
from tests.coherence.copying import OursCopied
from tests.coherence.scenarios import Scenario
from tests.coherence.stepping import Turn
from tests.coherence.systems import KEYS, System
from tests.coherence.world import VAULT, Node, World


def _times(name: str, times: int, do: Callable[[OursCopied, World], None]) -> tuple[str, Act]:
    async def act(system: System, world: World) -> None:
        for _ in range(times):
            await Turn()
            do(cast("OursCopied", system), world)

    return name, act


def reads(times: int = 1) -> tuple[str, Act]:
    """A user looks, in the process with the copy."""

    async def act(system: System, world: World) -> None:
        for number in range(times):
            if number:
                await Turn()  # the next read starts later than this one ended
            await cast("OursCopied", system).read_here(world)

    return "read", act


def invalidates_here(*, tells_height: bool = True) -> tuple[str, Act]:
    async def act(system: System, world: World) -> None:
        height = world.confirm()
        copied = cast("OursCopied", system)
        await copied.invalidate_here(world, height if tells_height else None)

    return "invalidate here", act


def invalidates_there(*, tells_height: bool = True) -> tuple[str, Act]:
    async def act(system: System, world: World) -> None:
        height = world.confirm()
        copied = cast("OursCopied", system)
        await copied.invalidate_there(world, height if tells_height else None)

    return "invalidate there", act


def clears_here() -> tuple[str, Act]:
    """An operator has a vault forgotten, through the process with the copy."""

    async def act(system: System, world: World) -> None:
        await cast("OursCopied", system).clear_here(world)

    return "clear here", act


def clears_there() -> tuple[str, Act]:
    async def act(system: System, world: World) -> None:
        await cast("OursCopied", system).clear_there(world)

    return "clear there", act


def delivers(times: int = 1) -> tuple[str, Act]:
    """What the server has told arrives, one message at a time."""
    return _times("deliver", times, OursCopied.deliver)


def asks(times: int = 1) -> tuple[str, Act]:
    """The copy asks for what it wants, or whether the server is there."""
    return _times("ask", times, lambda system, _: system.copy.ask())


def bako_invalidates() -> tuple[str, Act]:
    async def act(system: System, world: World) -> None:
        world.confirm()
        await cast("OursCopied", system).bako_invalidates(world)

    return "bako invalidates", act


def fetches_a_newer() -> tuple[str, Act]:
    """A block that nobody announced changes the vault; somebody else refreshes it."""

    async def act(system: System, world: World) -> None:
        world.confirm()
        await system.fetch(world, MAINNET, Node())

    return "fetch a newer", act


LINK_LOST = _times("link lost", 1, OursCopied.lose_link)
TIME_PASSES = _times("time passes", 1, OursCopied.pass_time)
ANOTHER_HISTORY = fault("another history", ("SET", "bc:epoch", "another-history"))
BAKO_FLAGS = fault("bako flags", ("SET", KEYS.chain_flag(VAULT, MAINNET), "1", "EX", 3600))

HELD = (fetcher(), reads(2), asks(), delivers(9), asks(), delivers(9))
"""A vault was read twice and is copied."""

ASKED = (fetcher(), reads(2), asks())
"""The answer with the copied value is on its way."""

COPIED_SMALL = (
    Scenario("told in time", (invalidates_there(), delivers(2), reads(2)), prepare=HELD),
    Scenario("an own invalidation", (invalidates_here(), delivers(2), reads(2)), prepare=HELD),
    Scenario(
        "an answer that is old already",
        (invalidates_there(), delivers(2), reads(2)),
        prepare=ASKED,
    ),
    Scenario(
        "an answer behind an own invalidation",
        (invalidates_here(), delivers(3), reads(2)),
        prepare=ASKED,
    ),
    Scenario(
        "an answer that is older than a read",
        (fetches_a_newer(), delivers(), reads(2)),
        prepare=ASKED,
    ),
    Scenario("the link is lost", (invalidates_there(), LINK_LOST, asks(), reads(2)), prepare=HELD),
    Scenario(
        "nobody tells any more", (invalidates_there(), TIME_PASSES, asks(), reads(2)), prepare=HELD
    ),
    Scenario(
        "an own clear",
        (clears_here(), delivers(2), reads(2)),
        heights_must_rise=False,
        prepare=HELD,
    ),
    Scenario(
        "another's clear",
        (clears_there(), delivers(2), reads(2)),
        heights_must_rise=False,
        prepare=HELD,
    ),
    Scenario(
        "a flush",
        (FLUSH, invalidates_there(), delivers(2), reads(2)),
        heights_must_rise=False,
        prepare=HELD,
    ),
    Scenario(
        "another history",
        (ANOTHER_HISTORY, delivers(3), reads(2)),
        heights_must_rise=False,
        prepare=HELD,
    ),
)
"""Every schedule is run in the test suite."""

COPIED_LARGE = (
    Scenario(
        "copying while everything changes",
        (invalidates_there(), fetcher(), asks(2), delivers(3), reads(3)),
        prepare=ASKED,
    ),
    Scenario(
        "an own invalidation while it is copied",
        (invalidates_here(), fetcher(), asks(2), delivers(3), reads(3)),
        prepare=ASKED,
    ),
)
"""The test suite samples their schedules; `make check-coherence` draws casts like them."""


def draw_copied(choose: Callable[[int], int]) -> Scenario:
    """Draw a cast around a process with a copy."""
    faults = (None, None, LINK_LOST, TIME_PASSES, ANOTHER_HISTORY, FLUSH, FAILOVER, FRESH_LIFE_ENDS)
    chosen = faults[choose(len(faults))]
    losing = chosen in (FLUSH, FAILOVER, ANOTHER_HISTORY)
    acts = [reads(2 + choose(3)), asks(1 + choose(3)), delivers(1 + choose(5))]
    tells_height = choose(2) == 0
    if choose(2):
        acts.append(invalidates_there(tells_height=tells_height))
    else:
        acts.append(invalidates_here(tells_height=tells_height))
    if choose(2):
        acts.append(fetcher(times=1 + choose(2)))
    if choose(4) == 0:
        acts.append(bako_invalidates())
        losing = True
    if choose(6) == 0:
        acts.append((clears_here(), clears_there())[choose(2)])
        losing = True  # a clear forgets heights, and here it is not known at once
    if chosen is not None:
        acts.append(chosen)
    prepare = (HELD, ASKED, ())[choose(3)]
    return Scenario("drawn", tuple(acts), heights_must_rise=not losing, prepare=prepare)
