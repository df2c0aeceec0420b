"""Who acts in a run: casts that are played in every order, and drawn ones."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from tests.cache_support import MAINNET, TESTNET
from tests.coherence.acts import (
    BLIND,
    EPOCH_EVICTED,
    FAILOVER,
    FLAGS_END,
    FLUSH,
    FRESH_LIFE_ENDS,
    HONEST_LAG,
    LAGGING,
    LEASE_ENDS,
    STATE_EVICTED,
    Act,
    bako_fetcher,
    bako_invalidator,
    clearer,
    fetcher,
    flag_clearer,
    invalidator,
    reader,
    slow_fetcher,
    walker,
)
from tests.coherence.stepping import Actor
from tests.coherence.systems import System
from tests.coherence.world import Node, World


@dataclass(frozen=True)
class Scenario:
    """A cast for one run.

    Attributes:
        name: for people.
        acts: what each actor does.
        heights_must_rise: reads may be held to rising heights: no fault loses what was stored.
        prepare: what has happened before, one after the other.
    """

    name: str
    acts: tuple[tuple[str, Act], ...]
    heights_must_rise: bool = True
    prepare: tuple[tuple[str, Act], ...] = ()

    def actors(self, system: System, world: World) -> list[Actor]:
        world.heights_must_rise = self.heights_must_rise
        return [Actor(name, _bind(act, system, world)) for name, act in self.acts]

    def prepared(self, system: System, world: World) -> list[Actor]:
        return [Actor(name, _bind(act, system, world)) for name, act in self.prepare]


def _bind(act: Act, system: System, world: World) -> Callable[[], Coroutine[Any, Any, None]]:
    return lambda: act(system, world)


SMALL = (
    Scenario("one fetch", (fetcher(), invalidator(), reader())),
    Scenario("no height", (fetcher(), invalidator(tells_height=False), reader())),
    Scenario("two fetches", (fetcher(), fetcher(), invalidator(), reader())),
    Scenario("a lagging node", (fetcher(LAGGING, times=2), invalidator(), reader())),
    Scenario("no height told", (fetcher(BLIND, times=2), invalidator(), reader())),
    Scenario("a node falls back", (fetcher(), fetcher(LAGGING), reader(times=2))),
)
"""Every cache can play these."""

OURS_SMALL = (
    Scenario("lease ends", (fetcher(), fetcher(), LEASE_ENDS, reader())),
    Scenario("flags end", (fetcher(), invalidator(tells_height=False), FLAGS_END, reader())),
    Scenario("state evicted", (fetcher(), STATE_EVICTED, invalidator(), reader())),
    Scenario("epoch evicted", (fetcher(), EPOCH_EVICTED, invalidator(), reader())),
    Scenario("flush", (fetcher(), FLUSH, invalidator(), reader()), heights_must_rise=False),
    Scenario("failover", (fetcher(), FAILOVER, invalidator(), reader()), heights_must_rise=False),
    Scenario(
        "bako invalidates", (bako_invalidator(), fetcher(), reader()), heights_must_rise=False
    ),
)
"""What needs a server with state of its own; every schedule is run in the test suite."""

PROLONGED = (
    Scenario("a lease is prolonged", (slow_fetcher(), fetcher(), LEASE_ENDS)),
    Scenario("a lost lease is prolonged", (slow_fetcher(), invalidator(), fetcher())),
    Scenario(
        "a lease of another history is prolonged",
        (slow_fetcher(), FAILOVER, invalidator()),
        heights_must_rise=False,
    ),
)
"""Every schedule is run in the test suite; nobody reads: leases are looked at."""

CLEARED = (
    Scenario("a clear", (fetcher(LAGGING), invalidator(), clearer(), reader())),
    Scenario("a clear beside a fetch", (clearer(), fetcher(), reader()), prepare=(fetcher(),)),
    Scenario(
        "flags are cleared",
        (bako_invalidator(), fetcher(), flag_clearer(), reader()),
        heights_must_rise=False,
    ),
    Scenario(
        "the flag of all chains is cleared for one",
        (bako_invalidator(None), fetcher(chain_id=TESTNET), flag_clearer(), reader(TESTNET)),
        heights_must_rise=False,
    ),
)
"""What operators do; every schedule is run in the test suite."""

WALKED = (
    Scenario("a walk", (fetcher(), walker(), reader())),
    Scenario("a walk and a lagging node", (fetcher(LAGGING, times=2), walker(), reader())),
)
"""What the follower does; every schedule is run in the test suite."""

LARGE = (
    Scenario(
        "our own flags are cleared",
        (fetcher(), invalidator(tells_height=False), flag_clearer(), reader()),
    ),
    Scenario(
        "a foreign value under a flag is cleared",
        (bako_fetcher(), bako_invalidator(), flag_clearer(), reader()),
        heights_must_rise=False,
    ),
    Scenario(
        "all chains", (fetcher(), fetcher(chain_id=TESTNET), invalidator(None), reader(TESTNET))
    ),
    Scenario(
        "lease ends and invalidation",
        (fetcher(), fetcher(), LEASE_ENDS, invalidator(), reader()),
    ),
    Scenario(
        "bako writes",
        (bako_fetcher(), fetcher(), invalidator(), reader()),
        heights_must_rise=False,
    ),
    Scenario(
        "bako on chain zero",
        (bako_fetcher(TESTNET), fetcher(chain_id=TESTNET), invalidator(TESTNET), reader(TESTNET)),
        heights_must_rise=False,
    ),
)
"""The test suite samples their schedules; `make check-coherence` runs every one."""

BEYOND_PROMISE = (
    Scenario(
        "bako invalidates every chain and refills another one",
        (bako_invalidator(None), bako_fetcher(TESTNET), fetcher(), reader()),
        heights_must_rise=False,
    ),
    Scenario(
        "bako invalidates in the middle of its own write",
        (bako_invalidator(), bako_fetcher(), fetcher(), reader()),
        heights_must_rise=False,
    ),
)
"""Bako's write deletes flags without looking. If a flag comes and goes while our fetch is under
way, and the value with it, nothing is left that could tell us. docs/coherence.md names this."""


ON_REDIS = (*SMALL, *OURS_SMALL, *CLEARED, *WALKED)
"""What a test plays in every order on a real server, to look at its fresh reads."""

ON_THE_TWIN = (*SMALL, *CLEARED[:2], *WALKED)
"""What needs neither Bako's writes nor faults of a server: the twin in memory has none of them."""


@dataclass
class Casting:
    """Draws a scenario of up to seven actors from a source of chance."""

    with_faults: bool
    choose: Callable[[int], int]
    acts: list[tuple[str, Act]] = field(default_factory=list)

    def draw(self) -> Scenario:
        loses = self._faults() if self.with_faults else False
        node = Node() if loses else self._node()
        self.acts += [fetcher(node, times=1 + self.choose(2)) for _ in range(1 + self.choose(2))]
        rare = (None, None, None, slow_fetcher(node), clearer(), flag_clearer())[self.choose(6)]
        if rare is not None:
            self.acts.append(rare)
        chain = (MAINNET, MAINNET, None)[self.choose(3)]
        self.acts.append(
            invalidator(chain, tells_height=self.choose(2) == 0, times=1 + self.choose(2))
        )
        if chain is None:
            self.acts.append(fetcher(chain_id=TESTNET))
        self.acts.append(reader(times=1 + self.choose(3)))
        foreign = any(name.startswith("bako") for name, _ in self.acts)
        return Scenario("drawn", tuple(self.acts), heights_must_rise=not (loses or foreign))

    def _node(self) -> Node:
        return (Node(), HONEST_LAG, LAGGING, BLIND, Node(slack=1))[self.choose(5)]

    def _faults(self) -> bool:
        harmless = (LEASE_ENDS, FRESH_LIFE_ENDS, EPOCH_EVICTED, bako_fetcher(), bako_invalidator())
        losing = (STATE_EVICTED, FLUSH, FAILOVER, FLAGS_END)
        kind = self.choose(3)
        if kind == 1:
            self.acts.append(harmless[self.choose(len(harmless))])
        elif kind == 2:
            self.acts.append(losing[self.choose(len(losing))])
        return kind == 2
