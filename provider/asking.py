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

    async def finish(self, readings: Sequence[VaultReading]) -> None:
        """Ask until each vault is settled."""
        tried: list[Endpoint] = []
        while pending := [reading for reading in readings if reading.result is None]:
            try:
                endpoint = self._choose(tried)
            except ProviderError as error:
                return _settle(pending, error)
            try:
                await self._ask_or_split(endpoint, pending, len(tried))
            except ProviderError as error:
                if self._is_answer(error):
                    endpoint.breaker.succeeded()
                    return await self._blame(error, pending)
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
        self, endpoint: Endpoint, pending: Sequence[VaultReading], failures: int
    ) -> None:
        """Ask for all at once, or have parts of them finished if the node takes less."""
        endpoint.breaker.begin()
        profile = await endpoint.verify(self._attempt_seconds(failures))
        pages = [reading.next_page(endpoint.limits) for reading in pending]
        requests = plan(pages, endpoint.limits)
        if len(requests) > 1:
            return await self._finish_parts(pending, [len(request) for request in requests])
        try:
            await self._ask(endpoint, profile, pending, pages, failures)
        except QueryTooComplexError as error:
            self._searching_limit = endpoint.shrink(pages)
            self._hopeless = None if self._searching_limit else error
        return None

    async def _ask(
        self,
        endpoint: Endpoint,
        profile: NodeProfile,
        pending: Sequence[VaultReading],
        pages: Sequence[Page],
        failures: int,
    ) -> None:
        limits = endpoint.limits
        height = max(reading.required_height for reading in pending)
        question = Question(pages, height, self._lane, self._deadline)
        answered, envelope = await self._exchange.ask(
            endpoint, question, self._attempt_seconds(failures)
        )
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
        for position, (reading, page) in enumerate(zip(pending, pages, strict=True)):
            reading.take(source, alias(position), page)

    async def _finish_parts(self, readings: Sequence[VaultReading], sizes: Sequence[int]) -> None:
        start, parts = 0, []
        for size in sizes:
            parts.append(readings[start : start + size])
            start += size
        if self._searching_limit:  # let one find out what the node takes, not each of them
            await self.finish(parts.pop(0))
        await asyncio.gather(*(self.finish(part) for part in parts))

    def _is_answer(self, error: ProviderError) -> bool:
        """Tell whether a healthy node refused what we asked, so that asking less may help."""
        return isinstance(error, QueryRefusedError) and not isinstance(error, GatewayRefusedError)

    async def _blame(self, error: ProviderError, pending: Sequence[VaultReading]) -> None:
        """Find out which vaults a refusal is about; the others are asked for again."""
        self._refusals_left -= 1
        if isinstance(error, AliasRefusedError):
            guilty = [
                reading for place, reading in enumerate(pending) if alias(place) == error.alias
            ]
            if guilty:
                _settle(guilty, error)
                return await self.finish(pending)
        if len(pending) == 1 or self._refusals_left <= 0:
            return _settle(pending, error)
        half = len(pending) // 2
        return await self._finish_parts(pending, [half, len(pending) - half])

    def _note(
        self, error: ProviderError, endpoint: Endpoint, pending: Sequence[VaultReading]
    ) -> None:
        for reading in pending:
            reading.failure = error
        if isinstance(error, NodeBehindError):
            endpoint.breaker.succeeded()
            self._floor.saw(error.current)
        elif not isinstance(error, BudgetExhaustedError):  # that one is our own
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

    def _attempt_seconds(self, failures: int) -> float:
        """Return how long an attempt may last: a node that hangs leaves time for another."""
        left = self._seconds_left()
        return max(0.001, left if failures + 1 >= self._retries.attempts else left / 2)

    def _seconds_left(self) -> float:
        return self._deadline - asyncio.get_running_loop().time()


def _settle(readings: Sequence[VaultReading], error: ProviderError) -> None:
    for reading in readings:
        reading.settle(error)
