"""The budget of node calls of one process, for itself or while the shared one is away."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from domain.budget import BudgetLimits
from domain.errors import BudgetExhaustedError, CacheUnavailableError
from domain.measures import Measures, NoMeasures
from domain.ports import CallBudget
from domain.values import ChainId, Lane

_log = structlog.get_logger(__name__)

POLL_SECONDS = 0.02
"""How long a call waits before it looks again for a place among those under way."""

_ROUNDING_SECONDS = 1e-9


@dataclass(slots=True)
class _Account:
    """One network's calls.

    Attributes:
        next_arrival: when the calls made until now would have come at an even rate.
        under_way: calls at this moment.
    """

    next_arrival: float = 0.0
    under_way: int = 0


class LocalCallBudget:
    """A budget that this process keeps alone, by the generic cell rate algorithm.

    Args:
        limits: this process's part.
        clock: seconds, monotonic.
    """

    def __init__(self, limits: BudgetLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._accounts: dict[ChainId, _Account] = defaultdict(_Account)

    @asynccontextmanager
    async def call(
        self, chain_id: ChainId, lane: Lane, *, timeout_seconds: float
    ) -> AsyncIterator[None]:
        """Hold the right to one call (see `domain.ports.CallBudget`)."""
        account = self._accounts[chain_id]
        deadline = self._clock() + timeout_seconds
        while wait := self._take(account, lane):
            if self._clock() + wait > deadline:
                raise BudgetExhaustedError(
                    f"the budget of node calls leaves no place for {lane} "
                    f"in {timeout_seconds:.1f} s"
                )
            await asyncio.sleep(wait)
        account.under_way += 1
        try:
            yield
        finally:
            account.under_way -= 1

    def _take(self, account: _Account, lane: Lane) -> float:
        """Take one call and return 0, or return how long to wait before asking again."""
        if account.under_way >= self._limits.under_way_of(lane):
            return POLL_SECONDS
        now, interval = self._clock(), 1 / self._limits.calls_per_second
        arrival = max(now, account.next_arrival)
        early = arrival - now - (self._limits.burst_of(lane) - 1) * interval
        if early > _ROUNDING_SECONDS:
            return early
        account.next_arrival = arrival + interval
        return 0.0


class SharedOrLocalBudget:
    """The budget that all processes share; while it is away, this process's part of it."""

    def __init__(
        self, shared: CallBudget, local: CallBudget, measures: Measures | None = None
    ) -> None:
        self._measures = measures or NoMeasures()
        self._shared = shared
        self._local = local
        self._away = False

    @asynccontextmanager
    async def call(
        self, chain_id: ChainId, lane: Lane, *, timeout_seconds: float
    ) -> AsyncIterator[None]:
        """Hold the right to one call (see `domain.ports.CallBudget`); never for lack of Redis."""
        async with AsyncExitStack() as held:
            begun, granted = time.monotonic(), True
            try:
                await self._enter(held, chain_id, lane, timeout_seconds)
            except BudgetExhaustedError:
                granted = False
                raise
            finally:
                waited = time.monotonic() - begun
                self._measures.waited_for_budget(chain_id, lane, waited, granted=granted)
            yield

    async def _enter(
        self, held: AsyncExitStack, chain_id: ChainId, lane: Lane, timeout_seconds: float
    ) -> None:
        deadline = time.monotonic() + timeout_seconds
        try:
            await held.enter_async_context(
                self._shared.call(chain_id, lane, timeout_seconds=timeout_seconds)
            )
            self._tell(away=False)
        except CacheUnavailableError:
            self._tell(away=True)
            left = max(0.0, deadline - time.monotonic())
            await held.enter_async_context(self._local.call(chain_id, lane, timeout_seconds=left))

    def _tell(self, *, away: bool) -> None:
        if away != self._away:
            self._away = away
            _log.warning("shared_budget_away" if away else "shared_budget_back")


class UnlimitedCallBudget:
    """No limit: for programs that have the node to themselves, and for tests."""

    @asynccontextmanager
    async def call(
        self,
        chain_id: ChainId,  # noqa: ARG002 - the protocol's
        lane: Lane,  # noqa: ARG002 - the protocol's
        *,
        timeout_seconds: float,  # noqa: ARG002 - the protocol's
    ) -> AsyncIterator[None]:
        """Hold the right to one call: it is always there."""
        yield
