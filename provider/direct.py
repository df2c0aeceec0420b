"""Asking the node while the cache is away: bounded, and never twice for one vault at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from domain.errors import NodeUnreachableError, ProviderError
from domain.ports import BalanceProvider
from domain.values import Address, BlockHeight, Lane, Snapshot

Answer = Snapshot | ProviderError
_Wish = tuple[Address, BlockHeight]
"""A vault, and the height that its answer must have."""


class DirectReader:
    """Fetches for readers of this process; simultaneous readers of a vault share one fetch.

    Args:
        provider: the node.
        concurrency: fetches under way at one time; a fetch may hold many vaults.
    """

    def __init__(self, provider: BalanceProvider, *, concurrency: int = 8) -> None:
        self._provider = provider
        self._places = asyncio.Semaphore(concurrency)
        self._flights: dict[_Wish, asyncio.Task[Mapping[Address, Answer]]] = {}

    async def fetch(
        self, addresses: Sequence[Address], wait_seconds: float, required_height: BlockHeight = 0
    ) -> dict[Address, Answer]:
        """Return what the node tells within the time; an error stands for each other vault."""
        wishes = [(address, required_height) for address in addresses]
        missing = [wish for wish in wishes if wish not in self._flights]
        if missing:
            self._take_off(missing)
        flights = {wish[0]: self._flights[wish] for wish in wishes}
        if flights:
            await asyncio.wait(set(flights.values()), timeout=max(0.0, wait_seconds))
        return {address: _landed(address, flight) for address, flight in flights.items()}

    def _take_off(self, wishes: Sequence[_Wish]) -> None:
        flight = asyncio.ensure_future(self._fly(wishes))
        for wish in wishes:
            self._flights[wish] = flight
        flight.add_done_callback(lambda _: self._forget(wishes))

    async def _fly(self, wishes: Sequence[_Wish]) -> Mapping[Address, Answer]:
        """Fetch for wishes of one height."""
        async with self._places:
            return await self._provider.fetch_many(
                [address for address, _ in wishes], required_height=wishes[0][1], lane=Lane.READ
            )

    def _forget(self, wishes: Sequence[_Wish]) -> None:
        for wish in wishes:
            del self._flights[wish]

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
