"""What the tests of the wrapper share: a provider that does as told, and caches that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.errors import CacheUnavailableError, NodeUnreachableError, ProviderError
from domain.networks import Network
from domain.ports import PublishOutcome, Served
from domain.values import Address, Balance, BlockHeight, Fresh, Lane, Snapshot, Stale
from provider.cached import CachedProvider

NETWORK = Network(0, "testnet", ("http://node.test/v1/graphql",))
"""Chain id 0 on purpose: it is a real chain."""

CHAIN = NETWORK.chain_id

ASSET = "0x" + "ab" * 32


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 5.0) -> None:
    """Wait until the condition holds; fail at the deadline."""
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.002)


@dataclass
class ScriptedProvider:
    """A provider whose chain is a dict.

    Attributes:
        amounts: what each predicate holds; it is read when the fetch *begins*, as a node does.
        calls: the addresses of each fetch.
        before_answer: awaited between the node's reading and its answer.
        error: answered instead of balances.
    """

    amounts: dict[Address, int] = field(default_factory=dict)
    height: BlockHeight = 10
    calls: list[tuple[Address, ...]] = field(default_factory=list)
    required: list[BlockHeight] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    before_answer: Callable[[], Awaitable[Any]] | None = None
    error: ProviderError | None = None

    async def fetch_many(
        self,
        addresses: Sequence[Address],
        *,
        required_height: BlockHeight = 0,
        lane: Lane = Lane.READ,
        deadline_seconds: float | None = None,
    ) -> Mapping[Address, Snapshot | ProviderError]:
        self.calls.append(tuple(addresses))
        self.required.append(required_height)
        self.lanes.append(lane)
        answers = {address: self._snapshot(address, required_height) for address in addresses}
        if self.before_answer is not None:
            try:
                async with asyncio.timeout(deadline_seconds):
                    await self.before_answer()
            except TimeoutError:
                return dict.fromkeys(addresses, NodeUnreachableError("too late"))
        if self.error is not None:
            return dict.fromkeys(addresses, self.error)
        return answers

    def _snapshot(self, address: Address, required: BlockHeight) -> Snapshot:
        amount = self.amounts.get(address, 0)
        balances = (Balance(ASSET, amount),) if amount else ()
        upper = max(self.height, required)
        return Snapshot(address, NETWORK.chain_id, balances, required, upper, NETWORK.public_url)


def amount(served: Served) -> int:
    """Tell how much of everything was served, fresh or stale."""
    assert isinstance(served.answer, Fresh | Stale)
    return sum(balance.amount for balance in served.answer.stored.snapshot.balances)


async def is_fresh(cache: Any, who: Address) -> bool:
    return isinstance((await cache.read(CHAIN, [who]))[who], Fresh)


async def put(cache: Any, node: ScriptedProvider, *addresses: Address) -> None:
    """Make predicates fresh in the cache without going through the reader under test."""
    held = await cache.acquire(CHAIN, addresses)
    height = max(lease.required_height for lease in held.values())
    answers = await node.fetch_many(addresses, required_height=height)
    outcomes = await cache.publish([(held[a], answers[a]) for a in addresses])
    assert set(outcomes.values()) == {PublishOutcome.PUBLISHED}
    node.calls.clear()
    node.required.clear()


class FailingCache:
    """Wraps a cache; the named methods fail as if Redis were away."""

    def __init__(self, cache: Any, *failing: str) -> None:
        self.cache = cache
        self.failing = set(failing)
        self.used: list[str] = []

    def __getattr__(self, name: str) -> Any:
        async def away(*_: Any, **__: Any) -> Any:
            self.used.append(name)
            raise CacheUnavailableError("Redis is away")

        if name in self.failing or "*" in self.failing:
            return away
        self.used.append(name)
        return getattr(self.cache, name)


MakeReader = Callable[..., CachedProvider]
"""What makes a reader over a cache, as it is asked for; it is closed when the test is over."""
