"""The balances of one network, from its nodes: the provider that asks the chain itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

import httpx

from domain.errors import InvalidAddressError, ProviderError, WrongChainError
from domain.measures import Measures
from domain.networks import Network
from domain.ports import CallBudget
from domain.values import (
    Address,
    BlockHeight,
    Lane,
    Snapshot,
    check_block_height,
    parse_address,
)
from provider.asking import AskingChain
from provider.batcher import MicroBatcher, Wish
from provider.budget import UnlimitedCallBudget
from provider.endpoint import Endpoint
from provider.exchange import Exchange
from provider.gate import LaneGate
from provider.heights import HeightFloor
from provider.listing import ListedAssets
from provider.pool import EndpointPool
from provider.probing import Prober
from provider.reading import VaultReading
from provider.retries import RetryPolicy


class NodeProvider:
    """Fetches balances from the nodes of one network (`domain.ports.BalanceProvider`).

    Args:
        network: whose nodes are asked.
        timeout_seconds: total deadline of a fetch, retries included.
        concurrency: requests under way at one time in this process.
        window_seconds: how long a wish waits for others to share its request.
        retries: when a failure is worth another attempt.
        budget: the calls that all processes together may make; None: no limit.
        hedge_quantile: when a second node is asked too (see `Exchange`); None: never.
        http2: speak HTTP/2 where the node does.
        measures: is told of every request.
        transport: replaces the network, for tests.
    """

    def __init__(
        self,
        network: Network,
        *,
        timeout_seconds: float = 10.0,
        concurrency: int = 10,
        window_seconds: float = 0.005,
        retries: RetryPolicy | None = None,
        budget: CallBudget | None = None,
        hedge_quantile: float | None = None,
        http2: bool = False,
        measures: Measures | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.network = network
        self._timeout = timeout_seconds
        self._retries = retries or RetryPolicy()
        self._floor = HeightFloor()
        self._listed = ListedAssets()
        self._batcher = MicroBatcher(self._run, window_seconds=window_seconds)
        self._pool = EndpointPool(
            [
                Endpoint(
                    url,
                    network,
                    connections=concurrency,
                    http2=http2,
                    transport=transport,
                    measures=measures,
                )
                for url in network.urls
            ]
        )
        self._prober = Prober(self._pool, self._floor)
        self._exchange = Exchange(
            network.chain_id,
            self._pool,
            LaneGate(concurrency),
            budget or UnlimitedCallBudget(),
            hedge_quantile,
        )

    async def verify(self) -> None:
        """Ask each node who it is, now: at a program's start, and to see whether it lives.

        Raises:
            WrongChainError: a node serves another chain than configured.
            ProviderError: no node answered properly, so nothing is known.
        """
        outcomes = await asyncio.gather(
            *(endpoint.verify(self._timeout, anew=True) for endpoint in self._pool.endpoints),
            return_exceptions=True,
        )
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for failure in failures:
            if isinstance(failure, WrongChainError) or not isinstance(failure, ProviderError):
                raise failure
        if failures and len(failures) == len(outcomes):
            raise failures[0]

    def vaults_per_request(self) -> int:
        """Return how many vaults every node takes in one request, as far as is known yet."""
        return min(endpoint.limits.vaults() for endpoint in self._pool.endpoints)

    async def get_balances(self, address: Address) -> Snapshot:
        """Fetch all balances of one predicate.

        Raises:
            ProviderError: the node gave none.
        """
        result = (await self.fetch_many([address]))[address]
        if isinstance(result, ProviderError):
            raise result
        return result

    async def fetch_many(
        self,
        addresses: Sequence[Address],
        *,
        required_height: BlockHeight = 0,
        lane: Lane = Lane.READ,
        deadline_seconds: float | None = None,
    ) -> Mapping[Address, Snapshot | ProviderError]:
        """Fetch all balances of each predicate (see `domain.ports.BalanceProvider`).

        Raises:
            InvalidAddressError: an address is not in the one form that we use inside. A node
                would take some of them, and answer for somebody else's vault.
            InvalidValueError: the required height is none.
        """
        check_block_height(required_height)
        for address in addresses:
            if parse_address(address) != address:
                raise InvalidAddressError(address, "expected lower case inside")
        seconds = self._timeout if deadline_seconds is None else deadline_seconds
        deadline = asyncio.get_running_loop().time() + seconds
        self._prober.look()
        height = max(required_height, self._floor.height)
        return await self._collect(dict.fromkeys(addresses), height, lane, deadline)

    async def _collect(
        self, addresses: Mapping[Address, None], height: BlockHeight, lane: Lane, deadline: float
    ) -> Mapping[Address, Snapshot | ProviderError]:
        results: dict[Address, Snapshot | ProviderError] = {}
        finished = asyncio.Event()

        def take(address: Address, result: Snapshot | ProviderError) -> None:
            results[address] = result
            if len(results) == len(addresses):
                finished.set()

        readings = [VaultReading(address, height, take) for address in addresses]
        self._batcher.add([Wish(reading, lane, deadline) for reading in readings])
        try:
            async with asyncio.timeout_at(deadline):
                if addresses:
                    await finished.wait()
        except TimeoutError:
            for reading in readings:
                results.setdefault(reading.address, reading.too_late())
        return {address: results[address] for address in addresses}

    async def _run(self, readings: Sequence[VaultReading], lane: Lane, deadline: float) -> None:
        chain = AskingChain(
            network=self.network,
            listed=self._listed,
            pool=self._pool,
            exchange=self._exchange,
            floor=self._floor,
            retries=self._retries,
            lane=lane,
            deadline=deadline,
        )
        with suppress(TimeoutError):  # the batcher tells each vault
            async with asyncio.timeout_at(deadline):
                await chain.finish(readings)

    async def close(self) -> None:
        """End what is under way and close all connections."""
        await self._batcher.close()
        await self._prober.close()
        for endpoint in self._pool.endpoints:
            await endpoint.close()
