"""Reading new blocks of one network, from whichever of its nodes serves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from domain.blocks import BlockMark, ChainNews
from domain.errors import (
    BudgetExhaustedError,
    NodeBehindError,
    NodeOverloadedError,
    NodeUnreachableError,
    ProviderError,
    QueryTooComplexError,
)
from domain.measures import Measures
from domain.networks import Network
from domain.ports import CallBudget
from domain.values import Address, AssetId, BlockHeight, Lane
from provider.answers import Envelope
from provider.block_answers import read_amounts, read_mark, read_news, read_start
from provider.block_queries import (
    BLOCKS_PER_REQUEST,
    OWNERS_PER_REQUEST,
    amounts_body,
    mark_body,
    news_body,
    start_body,
)
from provider.budget import UnlimitedCallBudget
from provider.endpoint import Endpoint
from provider.pool import EndpointPool

_AT_ONCE = 6
_COMPARES_AT_ONCE = 4
"""Fewer than there are connections: what L1 sends does not hold up the blocks that follow."""


class ChainReader:
    """Asks a network's nodes for blocks. Every method raises `ProviderError`.

    It has connections of its own: what is slow for balances does not hold up blocks. A call is
    one attempt at one node; the follower comes again, and the breaker then chooses another node.

    Args:
        network: whose nodes are asked.
        timeout_seconds: how long one call may take, waiting for the budget included.
        budget: the calls that all processes together may make; None: no limit.
        measures: is told of every request.
        transport: replaces the network, for tests.
    """

    def __init__(
        self,
        network: Network,
        *,
        timeout_seconds: float = 5.0,
        budget: CallBudget | None = None,
        measures: Measures | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.network = network
        self._timeout = timeout_seconds
        self._budget = budget or UnlimitedCallBudget()
        self._first = BLOCKS_PER_REQUEST
        self._pool = EndpointPool(
            [
                Endpoint(
                    url,
                    network,
                    connections=_AT_ONCE,
                    transport=transport,
                    measures=measures,
                )
                for url in network.urls
            ]
        )

    async def start(self) -> tuple[BlockMark, BlockMark | None]:
        """Return the newest block, and the one by which this chain is known; None: too young."""
        return read_start((await self._ask(start_body(), Lane.INVALIDATION)).data)

    async def mark(self, height: BlockHeight) -> BlockMark | None:
        """Return the block of a height; None: the node has none."""
        return read_mark((await self._ask(mark_body(height), Lane.INVALIDATION)).data)

    async def news(
        self,
        cursor: BlockMark,
        origin: BlockMark,
        *,
        lane: Lane = Lane.INVALIDATION,
        wait_seconds: float = 0.0,
    ) -> ChainNews:
        """Return the blocks after the cursor, as many as one request takes.

        With `wait_seconds` the node is asked to answer when it has the next block. A node that
        has none in that time, or does not know how to wait, is asked how it stands at once.

        When the node calls a request too complex, half as many are asked for from then on.
        """
        if wait_seconds > 0:
            awaited = await self._awaited(cursor, origin, lane, wait_seconds)
            if awaited is not None:
                return awaited
        while True:
            first = self._first
            try:
                body = news_body(cursor.height, origin.height, first)
                return read_news((await self._ask(body, lane)).data, cursor.height, first)
            except QueryTooComplexError:
                if first == 1:
                    raise
                self._first = max(1, min(self._first, first // 2))

    async def _awaited(
        self, cursor: BlockMark, origin: BlockMark, lane: Lane, seconds: float
    ) -> ChainNews | None:
        endpoint = self._pool.choose()
        if endpoint.profile is None:
            return None  # the first request is one that ends at once
        body = news_body(cursor.height, origin.height, self._first, waits=True)
        call = self._budget.call(self.network.chain_id, lane, timeout_seconds=self._timeout)
        try:
            async with call:
                envelope = await endpoint.query(body, cursor.height + 1, seconds, lane)
        except (NodeBehindError, NodeUnreachableError, NodeOverloadedError, QueryTooComplexError):
            return None  # the plain request tells what is the matter
        return read_news(envelope.data, cursor.height, self._first)

    async def base_amounts(
        self, owners: Sequence[Address], required_height: BlockHeight
    ) -> tuple[AssetId, Mapping[Address, int]] | None:
        """Return the base asset and how much each owner has of it, at this height or later.

        None: the node keeps no index of balances and would need one request for each.
        """
        profile = await self._pool.choose().verify(self._timeout)
        if not profile.indexation:
            return None
        places = asyncio.Semaphore(_COMPARES_AT_ONCE)

        async def some(part: Sequence[Address]) -> Mapping[Address, int]:
            body = amounts_body(part, profile.base_asset_id, required_height)
            async with places:
                envelope = await self._ask(body, Lane.WARMUP, required_height)
            return read_amounts(envelope.data, part)

        starts = range(0, len(owners), OWNERS_PER_REQUEST)
        parts = await asyncio.gather(*(some(owners[at : at + OWNERS_PER_REQUEST]) for at in starts))
        return profile.base_asset_id, {a: amount for part in parts for a, amount in part.items()}

    async def _ask(
        self, body: Mapping[str, Any], lane: Lane, required_height: BlockHeight = 0
    ) -> Envelope:
        endpoint = self._pool.choose()
        endpoint.breaker.begin()
        try:
            await endpoint.verify(self._timeout)
            async with self._budget.call(
                self.network.chain_id, lane, timeout_seconds=self._timeout
            ):
                envelope = await endpoint.query(body, required_height, self._timeout, lane)
        except (BudgetExhaustedError, NodeBehindError, QueryTooComplexError):
            endpoint.answered()  # the node is well
            raise
        except ProviderError as error:
            endpoint.failed(error)
            raise
        endpoint.answered()
        return envelope

    async def close(self) -> None:
        """Close the connections."""
        for endpoint in self._pool.endpoints:
            await endpoint.close()
