"""One chain of attempts: split, ask, blame, fail over, retry, until each vault has its result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from domain.errors import (
    BudgetExhaustedError,
    NodeBehindError,
    ProviderError,
    QueryRefusedError,
    QueryTooComplexError,
    TransientProviderError,
)
from domain.networks import Network
from domain.values import Lane
from provider.answers import AliasRefusedError, NodeProfile
from provider.endpoint import Endpoint
from provider.exchange import Exchange, Question
from provider.heights import HeightFloor
from provider.listing import ListedAssets
from provider.planner import Page, plan
from provider.pool import EndpointPool
from provider.queries import alias
from provider.reading import PageSource, VaultReading
from provider.retries import RetryPolicy
from provider.transport import GatewayRefusedError

REFUSALS = 16
"""Requests that may be refused in the search for guilty vaults: twice the depth of 200 vaults."""


class AskingChain:
    """Reads some vaults until a deadline, from whichever node serves.

    Args:
        deadline: the event loop's time after which no attempt begins. The caller ends what is
            under way then.
    """

    def __init__(
        self,
        *,
        network: Network,
        listed: ListedAssets,
        pool: EndpointPool,
        exchange: Exchange,
        floor: HeightFloor,
        retries: RetryPolicy,
        lane: Lane,
        deadline: float,
    ) -> None:
        self._network = network
        self._listed = listed
        self._pool = pool
        self._exchange = exchange
        self._floor = floor
        self._retries = retries
        self._lane = lane
        self._deadline = deadline
        self._refusals_left = REFUSALS
        self._searching_limit = False
        self._hopeless: ProviderError | None = None

    async def finish(
        self, readings: Sequence[VaultReading], tried: Sequence[Endpoint] = ()
    ) -> None:
        """Ask until each vault is settled; nodes that were tried for them come last."""
        tried = list(tried)
        while pending := [reading for reading in readings if reading.result is None]:
            try:
                endpoint = self._choose(tried)
            except ProviderError as error:
                for reading in pending:  # why it came to this says more than that it did
                    reading.settle(reading.failure or error)
                return None
            try:
                await self._ask_or_split(endpoint, pending, tried)
            except ProviderError as error:
                if self._is_answer(error):
                    endpoint.answered()
                    return await self._blame(error, pending, endpoint, tried)
                tried.append(endpoint)
                self._note(error, endpoint, pending)
                if not await self._may_try_again(error, tried):
                    return _settle(pending, error)
        return None

    def _choose(self, tried: Sequence[Endpoint]) -> Endpoint:
        if self._hopeless is not None:
            raise self._hopeless
        return self._pool.choose(tried)

    async def _ask_or_split(
        self, endpoint: Endpoint, pending: Sequence[VaultReading], tried: Sequence[Endpoint]
    ) -> None:
        """Ask for all at once, or have parts of them finished if the node takes less."""
        endpoint.breaker.begin()
        share = self._share_of_time(len(tried))
        profile = await endpoint.verify(max(0.001, share * self._seconds_left()))
        pages = [reading.next_page(endpoint.limits) for reading in pending]
        requests = plan(pages, endpoint.limits)
        if len(requests) > 1:
            return await self._finish_parts(pending, [len(r) for r in requests], tried)
        try:
            doubted = await self._ask(endpoint, profile, pending, pages, share)
        except QueryTooComplexError as error:
            self._searching_limit = endpoint.shrink(pages)
            self._hopeless = None if self._searching_limit else error
        else:
            await self._ask_again(doubted, [*tried, endpoint])
        return None

    async def _ask(
        self,
        endpoint: Endpoint,
        profile: NodeProfile,
        pending: Sequence[VaultReading],
        pages: Sequence[Page],
        share: float,
    ) -> list[VaultReading]:
        """Return the vaults whose part of the answer cannot be believed."""
        limits = endpoint.limits
        height = max(reading.required_height for reading in pending)
        question = Question(pages, height, self._lane, self._deadline)
        answered, envelope = await self._exchange.ask(endpoint, question, share)
        self._searching_limit = False
        self._floor.saw(envelope.height)
        source = PageSource(
            envelope,
            limits,
            height,
            self._network.chain_id,
            answered.public_url,
            profile.base_asset_id,
            self._listed,
        )
        doubted = []
        for position, (reading, page) in enumerate(zip(pending, pages, strict=True)):
            try:
                reading.take(source, alias(position), page)
            except ProviderError as error:
                reading.failure = error
                doubted.append(reading)
        return doubted

    async def _ask_again(self, readings: Sequence[VaultReading], tried: Sequence[Endpoint]) -> None:
        """Ask once more for vaults that a node failed at alone, another node if there is one."""
        hopeful = []
        for reading in readings:
            error = reading.too_late()
            if isinstance(error, TransientProviderError) or self._pool.has_untried(tried):
                reading.begin_again()
                hopeful.append(reading)
            else:
                reading.settle(error)
        if not hopeful:
            return None
        if not await self._may_try_again(hopeful[0].too_late(), tried):
            for reading in hopeful:
                reading.settle(reading.too_late())
            return None
        return await self.finish(hopeful, tried)

    async def _finish_parts(
        self,
        readings: Sequence[VaultReading],
        sizes: Sequence[int],
        tried: Sequence[Endpoint],
    ) -> None:
        start, parts = 0, []
        for size in sizes:
            parts.append(readings[start : start + size])
            start += size
        if self._searching_limit:  # let one find out what the node takes, not each of them
            await self.finish(parts.pop(0), tried)
        await asyncio.gather(*(self.finish(part, tried) for part in parts))

    def _is_answer(self, error: ProviderError) -> bool:
        """Tell whether a healthy node refused what we asked, so that asking less may help."""
        return isinstance(error, QueryRefusedError) and not isinstance(error, GatewayRefusedError)

    async def _blame(
        self,
        error: ProviderError,
        pending: Sequence[VaultReading],
        endpoint: Endpoint,
        tried: Sequence[Endpoint],
    ) -> None:
        """Find out which vaults a refusal is about; the others are asked for again."""
        self._refusals_left -= 1
        guilty = list(pending) if len(pending) == 1 or self._refusals_left <= 0 else []
        if isinstance(error, AliasRefusedError):
            named = [r for place, r in enumerate(pending) if alias(place) == error.alias]
            guilty = guilty or named
        if not guilty:
            half = len(pending) // 2
            return await self._finish_parts(pending, [half, len(pending) - half], tried)
        for reading in guilty:
            reading.failure = error
        await self._ask_again(guilty, [*tried, endpoint])
        return await self.finish(pending, tried)

    def _note(
        self, error: ProviderError, endpoint: Endpoint, pending: Sequence[VaultReading]
    ) -> None:
        for reading in pending:
            reading.failure = error
        if isinstance(error, NodeBehindError):
            endpoint.answered()
            self._floor.saw(error.current)
        elif isinstance(error, BudgetExhaustedError):  # that one is our own: nothing was sent
            endpoint.breaker.abandoned()
        else:
            endpoint.failed(error)

    async def _may_try_again(self, error: ProviderError, tried: Sequence[Endpoint]) -> bool:
        """Pause if there is a point in another attempt; False: there is none."""
        if isinstance(error, BudgetExhaustedError):
            return False
        if self._pool.has_untried(tried):
            return True
        pause = self._retries.pause(error, len(tried))
        if pause is None or self._seconds_left() <= pause:
            return False
        await asyncio.sleep(pause)
        return True

    def _share_of_time(self, failures: int) -> float:
        """Return which part of the time left an attempt may take.

        A node that hangs leaves time for another.
        """
        return 1.0 if failures + 1 >= self._retries.attempts else 0.5

    def _seconds_left(self) -> float:
        return self._deadline - asyncio.get_running_loop().time()


def _settle(readings: Sequence[VaultReading], error: ProviderError) -> None:
    for reading in readings:
        reading.settle(error)
