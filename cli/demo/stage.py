"""What the steps of the demo act on: the running system, its user, and eyes on all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from cli.children import Children
from cli.demo.dashboard import Dashboard
from cli.demo.nodes import SimulatedNode
from cli.demo.timeline import Timeline
from cli.errors import StepFailedError
from cli.seed import give_coins
from cli.system import System
from domain.ports import BalanceCache, TaskPublisher
from domain.values import Address, ChainId, Fresh, StoredSnapshot
from registry.seed import SeededUser
from runtime.assembly import Runtime
from tasks.publisher import open_publisher

_PAUSE_SECONDS = 0.02
_PUBLISH_SECONDS = 5.0
"""The demo's user waits for the broker; a web request would not (100 ms)."""


@dataclass(frozen=True)
class Stage:
    """Everything that a step needs.

    Attributes:
        children: the running programs.
        user: who owns the ten vaults.
        nodes: the simulated nodes by chain id; the dashboard shows the first one's network.
        without_cache: the API with ENABLE_BALANCE_CACHE=false.
        with_cache: the API as it is meant to be.
        publisher: how tasks are enqueued.
        cache: the store, to look into without counting as a reader.
        timeline: where progress is shown.
    """

    children: Children
    user: SeededUser
    nodes: Mapping[ChainId, SimulatedNode]
    without_cache: Dashboard
    with_cache: Dashboard
    publisher: TaskPublisher
    cache: BalanceCache
    timeline: Timeline

    @property
    def chain_id(self) -> ChainId:
        """The network that the dashboard shows."""
        return next(iter(self.nodes))

    async def fresh(self, chain_id: ChainId) -> dict[Address, StoredSnapshot]:
        """Return what the cache holds as fresh of the user's vaults."""
        answers = await self.cache.read(chain_id, self.user.addresses)
        return {a: answer.stored for a, answer in answers.items() if isinstance(answer, Fresh)}

    async def until(
        self, what: str, condition: Callable[[], Awaitable[bool]], *, seconds: float
    ) -> None:
        """Wait for a condition while all programs run.

        Raises:
            StepFailedError: it does not hold in time.
            ChildEndedError: a program ended.
        """
        try:
            async with asyncio.timeout(seconds):
                while not await condition():
                    self.children.check()
                    await asyncio.sleep(_PAUSE_SECONDS)
        except TimeoutError:
            raise StepFailedError(f"{what}: not within {seconds:.0f} s") from None


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the two APIs listen: the one without the cache, and the one with it."""

    uncached: int
    cached: int


@asynccontextmanager
async def set_stage(
    system: System, user: SeededUser, timeline: Timeline, ports: Ports
) -> AsyncIterator[Stage]:
    """Open the eyes and hands of the demo, and fill the simulated accounts."""
    async with AsyncExitStack() as stack:
        nodes = {s.chain_id: SimulatedNode(s.origin) for s in system.simulations}
        for node in nodes.values():
            stack.push_async_callback(node.close)
            await give_coins(SimulatedNode(node.origin), user.addresses)
        dashboards = [
            Dashboard(f"http://127.0.0.1:{port}", user) for port in (ports.uncached, ports.cached)
        ]
        for dashboard in dashboards:
            stack.push_async_callback(dashboard.close)
        runtime = await Runtime.open(system.settings)
        stack.push_async_callback(runtime.close)
        publisher = await stack.enter_async_context(
            open_publisher(system.settings, seconds=_PUBLISH_SECONDS)
        )
        yield Stage(
            children=system.children,
            user=user,
            nodes=nodes,
            without_cache=dashboards[0],
            with_cache=dashboards[1],
            publisher=publisher,
            cache=runtime.cache,
            timeline=timeline,
        )
