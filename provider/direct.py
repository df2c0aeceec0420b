"""Asking the node while the cache is away: bounded, and never twice for one vault at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from domain.errors import NodeUnreachableError, ProviderError
from domain.ports import BalanceProvider
from domain.values import Address, Lane, Snapshot

Answer = Snapshot | ProviderError


class DirectReader:
    """Fetches for readers of this process; simultaneous readers of a vault share one fetch.

    Args:
        provider: the node.
        concurrency: fetches under way at one time; a fetch may hold many vaults.
    """

    def __init__(self, provider: BalanceProvider, *, concurrency: int = 8) -> None:
        self._provider = provider
        self._places = asyncio.Semaphore(concurrency)
        self._flights: dict[Address, asyncio.Task[Mapping[Address, Answer]]] = {}

    async def fetch(
        self, addresses: Sequence[Address], wait_seconds: float
    ) -> dict[Address, Answer]:
        """Return what the node tells within the time; an error stands for each other vault."""
        missing = [address for address in addresses if address not in self._flights]
        if missing:
            self._take_off(missing)
        flights = {address: self._flights[address] for address in addresses}
        if flights:
            await asyncio.wait(set(flights.values()), timeout=max(0.0, wait_seconds))
        return {address: _landed(address, flight) for address, flight in flights.items()}

    def _take_off(self, addresses: Sequence[Address]) -> None:
        flight = asyncio.ensure_future(self._fly(addresses))
        for address in addresses:
            self._flights[address] = flight
        flight.add_done_callback(lambda _: self._forget(addresses))

    async def _fly(self, addresses: Sequence[Address]) -> Mapping[Address, Answer]:
        async with self._places:
            return await self._provider.fetch_many(addresses, lane=Lane.READ)

    def _forget(self, addresses: Sequence[Address]) -> None:
        for address in addresses:
            del self._flights[address]

    async def close(self) -> None:
        """End what is under way."""
        flights = set(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)


def _landed(address: Address, flight: asyncio.Task[Mapping[Address, Answer]]) -> Answer:
    if flight.done() and not flight.cancelled():
        return flight.result()[address]
    return NodeUnreachableError(f"no balances of {address} in time")
