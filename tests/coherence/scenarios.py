"""Who acts in a run: readers, fetchers, invalidators, foreign writers, faults."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

from domain.values import ChainId
from tests.cache_support import MAINNET, TESTNET
from tests.coherence.stepping import Actor, Turn
from tests.coherence.systems import (
    CHAINS,
    KEYS,
    Ours,
    System,
    bako_invalidate,
    bako_set,
    foreign_json,
    invalidate_noted,
)
from tests.coherence.world import VAULT, Invalidation, Node, World

Act = Callable[[System, World], Coroutine[Any, Any, None]]


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


def reader(chain_id: ChainId = MAINNET, times: int = 1) -> tuple[str, Act]:
    async def act(system: System, world: World) -> None:
        for number in range(times):
            if number:
                await Turn()  # the next read starts later than this one ended
            started = world.now
            content = await system.read(chain_id)
            if content is not None:
                world.check_fresh(content, chain_id, started)

    return f"read {chain_id}", act


def fetcher(
    node: Node | None = None, chain_id: ChainId = MAINNET, times: int = 1
) -> tuple[str, Act]:
    async def act(system: System, world: World) -> None:
        for _ in range(times):
            await system.fetch(world, chain_id, node or Node())

    return f"fetch {chain_id}", act


def invalidator(
    chain_id: ChainId | None = MAINNET, *, tells_height: bool = True, times: int = 1
) -> tuple[str, Act]:
    """A transaction is confirmed; then the cache is told."""

    async def act(system: System, world: World) -> None:
        for number in range(times):
            if number:
                await Turn()
            height = world.confirm()
            with_height = tells_height and chain_id is not None
            await invalidate_noted(system, world, chain_id, height if with_height else None)

    return f"invalidate {chain_id}", act


def slow_fetcher(node: Node | None = None) -> tuple[str, Act]:
    """Prolongs its lease while the node's answer is on its way."""

    async def act(system: System, world: World) -> None:
        await cast("Ours", system).fetch_slowly(world, MAINNET, node or Node())

    return "fetch slowly", act


def clearer() -> tuple[str, Act]:
    """An operator has a vault forgotten."""

    async def act(system: System, world: World) -> None:
        await cast("Ours", system).clear(world, MAINNET)

    return "clear", act


def flag_clearer() -> tuple[str, Act]:
    """An operator drops the flags of a vault."""

    async def act(system: System, world: World) -> None:
        await cast("Ours", system).clear_invalidation(world, MAINNET)

    return "clear flags", act


def walker() -> tuple[str, Act]:
    """The chain changes a vault without naming it, and the follower looks at what is fresh."""

    async def act(system: System, world: World) -> None:
        await cast("Ours", system).walk(world, MAINNET)

    return "walk", act


def bako_fetcher(chain_id: ChainId = MAINNET) -> tuple[str, Act]:
    """Bako's TypeScript fills the cache beside us."""

    async def act(_: System, world: World) -> None:
        await Turn()
        height = world.tip
        number = world.fetch(Node(), foreign=True)
        assert number is not None
        await bako_set(chain_id, foreign_json(number, height, chain_id, _milliseconds()))

    return f"bako fetch {chain_id}", act


def bako_invalidator(chain_id: ChainId | None = MAINNET) -> tuple[str, Act]:
    """Bako's TypeScript confirms a transaction and invalidates beside us."""

    async def act(_: System, world: World) -> None:
        world.confirm()
        started = world.now
        await bako_invalidate(chain_id, _milliseconds() + world.now)
        chains = (chain_id,) if chain_id else CHAINS
        world.invalidations.append(Invalidation(chains, None, started, world.now, ours=False))

    return f"bako invalidate {chain_id}", act


def fault(name: str, *commands: tuple[Any, ...]) -> tuple[str, Act]:
    async def act(_system: System, world: World) -> None:
        with world.leases.ending():
            for command in commands:
                await Turn(command)

    return name, act


_OURS = [
    key
    for chain in CHAINS
    for key in (KEYS.state(VAULT, chain), KEYS.value(VAULT, chain), KEYS.last_known(VAULT, chain))
]
_FLAGS = [KEYS.global_flag(VAULT), *(KEYS.chain_flag(VAULT, chain) for chain in CHAINS)]
_EVERY = [*_OURS, *_FLAGS]

_END_LEASE = (
    "if redis.call('HEXISTS', KEYS[1], 'lease_deadline') == 1 then "
    "redis.call('HSET', KEYS[1], 'lease_deadline', '1') end"
)
_COPY = "for _, k in ipairs(KEYS) do redis.call('COPY', k, 'copy:' .. k, 'REPLACE') end"
_GO_BACK = (
    "for _, k in ipairs(KEYS) do redis.call('DEL', k) redis.call('COPY', 'copy:' .. k, k) end "
    "redis.call('SET', 'bc:epoch', ARGV[1])"
)

LEASE_ENDS = fault("lease ends", ("EVAL", _END_LEASE, 1, KEYS.state(VAULT, MAINNET)))
FRESH_LIFE_ENDS = fault("fresh life ends", ("DEL", KEYS.value(VAULT, MAINNET)))
FLAGS_END = fault("flags end", ("DEL", *_FLAGS))
STATE_EVICTED = fault("state evicted", ("DEL", KEYS.state(VAULT, MAINNET)))
EPOCH_EVICTED = fault("epoch evicted", ("DEL", "bc:epoch"))
FLUSH = fault("flush", ("FLUSHDB",))
FAILOVER = fault(
    "failover",
    ("EVAL", _COPY, len(_EVERY), *_EVERY),  # what the replica has
    ("EVAL", _GO_BACK, len(_EVERY), *_EVERY, "another-history"),  # it takes over
)
"""A replica that misses the last writes takes over. The first client that connects names the new
history before anything is read; here both are one step."""

LAGGING = Node(lag=1, honours=False, slack=0)
BLIND = Node(lag=1, honours=False, evidence=False)
HONEST_LAG = Node(lag=1, honours=True, slack=1)

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


def _milliseconds() -> int:
    return int(time.time() * 1000)


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
