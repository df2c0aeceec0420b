"""What an actor of a run does: readers, fetchers, invalidators, foreign writers, faults."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, cast

from domain.values import ChainId
from tests.cache_support import MAINNET
from tests.coherence.stepping import Turn
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


def _milliseconds() -> int:
    return int(time.time() * 1000)
