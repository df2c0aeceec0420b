"""What the checker checks: ours on Redis, the twin, and the two algorithms that came before."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, cast

from redis.asyncio import Redis

from cache.clock import ServerClock
from cache.keys import Keys
from cache.memory import MemoryBalanceCache
from cache.store import RedisBalanceCache
from domain.ports import BalanceCache, Lease, PublishOutcome
from domain.values import Balance, BlockHeight, ChainId, Fresh
from tests.cache_support import MAINNET, TESTNET, URL, ManualClock, asset
from tests.coherence.stepping import SteppedCommands, Turn
from tests.coherence.world import VAULT, Content, Invalidation, Node, World, content_of

CHAINS = (MAINNET, TESTNET)
KEYS = Keys()


class System(Protocol):
    """A cache under check. Every wait is a `Turn`."""

    async def read(self, chain_id: ChainId) -> Content | None:
        """Return what is served as fresh."""
        ...

    async def fetch(self, world: World, chain_id: ChainId, node: Node) -> None:
        """Fill the cache from the node."""
        ...

    async def invalidate(self, chain_id: ChainId | None, height: BlockHeight | None) -> None:
        """Declare the vault's balances wrong."""
        ...


class Ours:
    """Our protocol, on Redis or in memory."""

    def __init__(self, cache: BalanceCache, clock: ManualClock | None = None) -> None:
        self.cache = cache
        self.clock = clock

    async def read(self, chain_id: ChainId) -> Content | None:
        answer = (await self.cache.read(chain_id, [VAULT]))[VAULT]
        if not isinstance(answer, Fresh):
            return None
        return content_of(answer.stored.snapshot.balances)

    async def fetch(self, world: World, chain_id: ChainId, node: Node) -> None:
        lease = await self._lease(world, chain_id)
        if lease is not None:
            await Turn()
            await self._publish(world, lease, node, _answer(world, lease, node))

    async def fetch_slowly(self, world: World, chain_id: ChainId, node: Node) -> None:
        """Fill the cache from a node whose answer takes long: the lease is prolonged."""
        lease = await self._lease(world, chain_id)
        if lease is not None:
            answer = _answer(world, lease, node)
            if (await self.cache.extend([lease]))[VAULT]:
                world.leases.prolong(chain_id, lease.token)
            await self._publish(world, lease, node, answer)

    async def _lease(self, world: World, chain_id: ChainId) -> Lease | None:
        lease = (await self.cache.acquire(chain_id, [VAULT]))[VAULT]
        if not isinstance(lease, Lease):
            return None
        world.leases.give(chain_id, lease.token)
        return lease

    async def _publish(
        self, world: World, lease: Lease, node: Node, answer: tuple[int, BlockHeight] | None
    ) -> None:
        try:
            if answer is None:
                await self.cache.release([lease])
                return
            snapshot = world.snapshot(*answer, node, lease.chain_id)
            outcomes = await self.cache.publish([(lease, snapshot)])
            world.published += outcomes[VAULT] is PublishOutcome.PUBLISHED
        finally:  # also for one who dies: the command was sent
            world.leases.give_back(lease.chain_id, lease.token)

    async def clear(self, world: World, chain_id: ChainId) -> None:
        """Forget what is stored, and let the world know what that was."""
        started = world.now
        held, _ = await self._looking(self.cache.clear([VAULT], chain_id), chain_id)
        world.forget_heights(chain_id)
        world.invalidations += cleared(held, chain_id, started, world.now)

    async def clear_invalidation(self, world: World, chain_id: ChainId) -> None:
        """Drop the flags. What stood under one must never be fresh again."""
        started = world.now
        with world.leases.ending():
            held, flagged = await self._looking(
                self.cache.clear_invalidation([VAULT], chain_id), chain_id
            )
        if flagged:
            world.invalidations += cleared(held, chain_id, started, world.now)

    async def _looking(
        self, change: Coroutine[Any, Any, Any], chain_id: ChainId
    ) -> tuple[Content | None, bool]:
        """Do it, and tell what it has found: the value, and whether a flag stood."""
        look = (
            ("GET", KEYS.value(VAULT, chain_id)),
            ("EXISTS", KEYS.chain_flag(VAULT, chain_id), KEYS.global_flag(VAULT)),
        )
        raw, flags, answer = await Turn((*look, change.send(None)))
        await _rest(change, answer)
        return _content(raw), flags > 0

    async def invalidate(self, chain_id: ChainId | None, height: BlockHeight | None) -> None:
        await self.cache.invalidate([VAULT], chain_id, height)

    async def walk(self, world: World, chain_id: ChainId) -> None:
        """Go through what is fresh, as the follower does after a deposit from L1."""
        height, started = world.confirm(), world.now
        await self.cache.require(chain_id, height)
        answer = (await self.cache.read(chain_id, [VAULT], counted=False))[VAULT]
        if isinstance(answer, Fresh) and answer.stored.snapshot.height < height:
            await self.cache.invalidate([VAULT], chain_id, height)
        world.invalidations.append(Invalidation((chain_id,), height, started, world.now))


def _answer(world: World, lease: Lease, node: Node) -> tuple[int, BlockHeight] | None:
    """Let the node answer: the number of the fetch and the height; None when it refuses."""
    height = world.tip - node.lag
    number = world.fetch(node, lease.required_height)
    return None if number is None else (number, height)


async def _rest(change: Coroutine[Any, Any, Any], answer: Any) -> None:
    """Let a change that was begun go on to its end."""
    with contextlib.suppress(StopIteration):
        while True:
            answer = await Turn(change.send(answer))


def cleared(
    held: Content | None, chain_id: ChainId, started: int, finished: int
) -> list[Invalidation]:
    """Return what a clear means for what it has found."""
    if held is None:
        return []
    return [Invalidation((chain_id,), None, started, finished, only=held.fetch)]


_CLOCK = ServerClock(lambda: 0.0)
"""It stands still: ages do not matter here. One that asked for the time now and then would make a
step of its own of that, and two runs of one schedule would differ."""
_CLOCK.learn((0, 0))


def ours_on_redis() -> Ours:
    commands = SteppedCommands()
    cache = RedisBalanceCache(
        cast("Redis", None), chain_ids=CHAINS, commands=commands, clock=_CLOCK, lease_seconds=600
    )
    return Ours(cache)


class _SteppedTwin(MemoryBalanceCache):
    """The twin needs no server; each of its operations is one step all the same."""

    async def read(self, *given: Any, **named: Any) -> Any:
        await Turn()
        return await super().read(*given, **named)

    async def not_fresh(self, *given: Any) -> Any:
        await Turn()
        return await super().not_fresh(*given)

    async def acquire(self, *given: Any, **named: Any) -> Any:
        await Turn()
        return await super().acquire(*given, **named)

    async def publish(self, *given: Any) -> Any:
        await Turn()
        return await super().publish(*given)

    async def release(self, *given: Any) -> None:
        await Turn()
        await super().release(*given)

    async def invalidate(self, *given: Any) -> None:
        await Turn()
        await super().invalidate(*given)

    async def extend(self, *given: Any) -> Any:
        await Turn()
        return await super().extend(*given)

    async def clear(self, *given: Any) -> int:
        await Turn()
        return await super().clear(*given)

    async def clear_invalidation(self, *given: Any) -> None:
        await Turn()
        await super().clear_invalidation(*given)


class OursInMemory(Ours):
    """The twin, which has no flags and no commands that could be looked over."""

    async def _looking(
        self, change: Coroutine[Any, Any, Any], chain_id: ChainId
    ) -> tuple[Content | None, bool]:
        change.send(None)
        await Turn()
        answer = (await MemoryBalanceCache.read(cast("Any", self.cache), chain_id, [VAULT]))[VAULT]
        await _rest(change, None)
        if not isinstance(answer, Fresh):
            return None, False
        return content_of(answer.stored.snapshot.balances), False


def the_twin() -> Ours:
    clock = ManualClock()
    return OursInMemory(_SteppedTwin(clock, chain_ids=CHAINS, fresh_seconds=3_600), clock)


class TheDocument:
    """The document's algorithm: one flag for all chains, whoever writes last wins."""

    async def read(self, chain_id: ChainId) -> Content | None:
        if await Turn(("GET", KEYS.global_flag(VAULT))) is not None:
            return None
        return _content(await Turn(("GET", KEYS.value(VAULT, chain_id))))

    async def fetch(self, world: World, chain_id: ChainId, node: Node) -> None:
        raw = await self._fetched(world, chain_id, node)
        await Turn(("SET", KEYS.value(VAULT, chain_id), raw, "EX", 600))
        await Turn(("DEL", KEYS.global_flag(VAULT)))

    async def invalidate(
        self,
        chain_id: ChainId | None,  # noqa: ARG002 - the document's flag knows no chains
        height: BlockHeight | None,  # noqa: ARG002 - nor heights
    ) -> None:
        await Turn(("DEL", *(KEYS.value(VAULT, chain) for chain in CHAINS)))
        await Turn(("SET", KEYS.global_flag(VAULT), "1", "EX", 3600))

    async def _fetched(self, world: World, chain_id: ChainId, node: Node) -> str:
        await Turn()
        height = world.tip - node.lag
        number = world.fetch(Node(honours=False))
        assert number is not None
        return foreign_json(number, height, chain_id, timestamp=0)


class BakoShipped(TheDocument):
    """Bako's shipped algorithm: flags per chain, except that chain 0 counts as "no chain"."""

    async def read(self, chain_id: ChainId) -> Content | None:
        for flag in _bako_flags(chain_id):
            if await Turn(("GET", flag)) is not None:
                return None
        return _content(await Turn(("GET", KEYS.value(VAULT, chain_id))))

    async def fetch(self, world: World, chain_id: ChainId, node: Node) -> None:
        raw = await self._fetched(world, chain_id, node)
        await bako_set(chain_id, raw)

    async def invalidate(self, chain_id: ChainId | None, height: BlockHeight | None) -> None:
        del height
        await bako_invalidate(chain_id, timestamp=1)


async def bako_set(chain_id: ChainId, raw: str) -> None:
    """Write a value as Bako's TypeScript does, command by command."""
    await Turn(("SET", KEYS.value(VAULT, chain_id), raw, "EX", 300))
    await Turn(("DEL", *_bako_flags(chain_id)))


async def bako_invalidate(chain_id: ChainId | None, timestamp: int) -> None:
    """Invalidate as Bako's TypeScript does, command by command."""
    if chain_id:  # the falsy zero is the point
        values = [KEYS.value(VAULT, chain_id)]
    else:
        values = [KEYS.value(VAULT, chain) for chain in CHAINS]
    flag = KEYS.chain_flag(VAULT, chain_id) if chain_id else KEYS.global_flag(VAULT)
    await Turn(("DEL", *values))
    await Turn(("SET", flag, timestamp, "EX", 3600))


def _bako_flags(chain_id: ChainId) -> Sequence[str]:
    if not chain_id:
        return (KEYS.global_flag(VAULT),)
    return (KEYS.chain_flag(VAULT, chain_id), KEYS.global_flag(VAULT))


def foreign_json(fetch: int, height: BlockHeight, chain_id: ChainId, timestamp: int) -> str:
    """Return a value as a foreign writer writes it."""
    value: dict[str, Any] = {
        "balances": [{"assetId": asset(fetch), "amount": hex(height)}],
        "timestamp": timestamp,
        "chainId": chain_id,
        "networkUrl": URL,
    }
    return json.dumps(value, separators=(",", ":"))


def _content(raw: bytes | None) -> Content | None:
    if raw is None:
        return None
    rows = json.loads(raw)["balances"]
    return content_of(tuple(Balance(row["assetId"], int(row["amount"], 16)) for row in rows))


async def invalidate_noted(
    system: System, world: World, chain_id: ChainId | None, height: BlockHeight | None
) -> None:
    """Invalidate, and note when it returned."""
    started = world.now
    chains = CHAINS if chain_id is None else (chain_id,)
    with world.leases.ending(chains):
        await system.invalidate(chain_id, height)
    world.invalidations.append(Invalidation(chains, height, started, world.now))
