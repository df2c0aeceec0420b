"""Refills: take leases, fetch in one go, publish; again when an invalidation came in between."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from domain.errors import CacheUnavailableError, ProviderError, VaultTooLargeError
from domain.events import EventLog, Note, VaultEventKind
from domain.networks import Network
from domain.ports import (
    BalanceCache,
    BalanceProvider,
    Lease,
    PublishOutcome,
    Refilled,
    RefillFailed,
    RefillOutcome,
)
from domain.values import Address, BlockHeight, Lane, Snapshot
from provider.prolonging import prolonged

ROUNDS = 3
"""Fetches per refill: a predicate that is invalidated during each of them stays stale."""

_LONGEST_PAUSE_SECONDS = 0.1

_FETCH_AGAIN = frozenset(
    {PublishOutcome.LEASE_LOST, PublishOutcome.FLAG_CHANGED, PublishOutcome.BELOW_MINIMUM}
)
"""Refusals that mean: what was fetched may be wrong by now."""

Outcomes = dict[Address, RefillOutcome]


class Refiller:
    """Brings what the node tells into the cache, for one network."""

    def __init__(
        self,
        network: Network,
        provider: BalanceProvider,
        cache: BalanceCache,
        events: EventLog | None = None,
    ) -> None:
        self._chain_id = network.chain_id
        self._provider = provider
        self._cache = cache
        self._events = events

    async def refill(
        self,
        addresses: Sequence[Address],
        *,
        lane: Lane,
        required_height: BlockHeight = 0,
        seen: Mapping[Address, int] | None = None,
    ) -> Outcomes:
        """Refill each predicate (see `domain.ports.BalanceReader.refill`).

        With `seen` (the version that the caller has read) a predicate that somebody else has
        refilled since is not fetched again: the outcome is a `Busy` that ends at once.

        Raises:
            CacheUnavailableError: no lease can be had, or the cache went away before the publish:
                whether an invalidation came in between, nobody can tell then.
        """
        outcomes: Outcomes = {}
        wanted: Sequence[Address] = list(dict.fromkeys(addresses))
        for left in reversed(range(ROUNDS)):
            outcomes |= await self._round(wanted, lane, required_height, seen)
            wanted = [address for address in wanted if _fetch_again(outcomes[address])]
            if not wanted or not left:
                break
            # Jitter: several refills of one predicate must not meet again at the same moment.
            await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # noqa: S311
        return outcomes

    async def _round(
        self,
        addresses: Sequence[Address],
        lane: Lane,
        required_height: BlockHeight,
        seen: Mapping[Address, int] | None,
    ) -> Outcomes:
        if not addresses:
            return {}
        held = await self._cache.acquire(self._chain_id, addresses, seen=seen)
        leases = [lease for lease in held.values() if isinstance(lease, Lease)]
        outcomes: Outcomes = {
            address: busy for address, busy in held.items() if not isinstance(busy, Lease)
        }
        if leases:
            outcomes |= await self._fetch_and_publish(leases, lane, required_height)
        return outcomes

    async def _fetch_and_publish(
        self, leases: Sequence[Lease], lane: Lane, required_height: BlockHeight
    ) -> Outcomes:
        unused = {lease.address: lease for lease in leases}
        try:
            # Heights of one chain are one row of numbers: what one of them needs, all can meet.
            height = max([required_height, *(lease.required_height for lease in leases)])
            begun = time.monotonic()
            async with prolonged(self._cache, leases):
                answers = await self._provider.fetch_many(
                    list(unused), required_height=height, lane=lane
                )
            seconds = time.monotonic() - begun
            leased = [
                (unused.pop(address), answer)
                for address, answer in answers.items()
                if isinstance(answer, Snapshot)
            ]
            outcomes = await self._publish(leased)
            for address, answer in answers.items():
                if isinstance(answer, ProviderError):
                    outcomes[address] = RefillFailed(answer)
        finally:
            await self._release(list(unused.values()))
        await self._tell(outcomes, height, seconds)
        return outcomes

    async def _tell(self, outcomes: Outcomes, height: BlockHeight, seconds: float) -> None:
        """Tell operators what went wrong, after everybody who waits was told."""
        if self._events is None:
            return
        failed = {
            address: _note(outcome.error, height)
            for address, outcome in outcomes.items()
            if isinstance(outcome, RefillFailed)
        }
        await self._events.note(self._chain_id, failed)
        await self._events.took(self._chain_id, list(outcomes), seconds)

    async def _publish(self, leased: Sequence[tuple[Lease, Snapshot]]) -> Outcomes:
        if not leased:
            return {}
        published = await self._cache.publish(leased)
        outcomes: Outcomes = {}
        for lease, snapshot in leased:
            outcome = published[lease.address]
            outcomes[lease.address] = _became(outcome, snapshot)
        return outcomes

    async def _release(self, leases: Sequence[Lease]) -> None:
        if leases:
            # Without the cache there is nothing to give back: the lease ends by itself.
            with suppress(CacheUnavailableError):
                await self._cache.release(leases)


def _became(outcome: PublishOutcome, snapshot: Snapshot) -> RefillOutcome:
    if outcome is PublishOutcome.PUBLISHED:
        return Refilled(snapshot)
    if outcome is PublishOutcome.TOO_LARGE:
        number = len(snapshot.balances)
        return RefillFailed(VaultTooLargeError(f"{snapshot.address}: {number} assets"))
    return RefillFailed(outcome, snapshot)


def _fetch_again(outcome: RefillOutcome) -> bool:
    return isinstance(outcome, RefillFailed) and outcome.error in _FETCH_AGAIN


def _note(error: ProviderError | PublishOutcome, height: BlockHeight) -> Note:
    demanded = height or None
    if isinstance(error, PublishOutcome):
        return Note(VaultEventKind.PUBLISH_REFUSED, error.value, demanded)
    return Note(VaultEventKind.FETCH_FAILED, f"{type(error).__name__}: {error}", demanded)
