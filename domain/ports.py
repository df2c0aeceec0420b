"""What the parts promise each other: protocols, so that no adapter imports another.

`BalanceProvider` is a source of balances (the Fuel node). `BalanceCache` is the coherent store.
`provider.CachedProvider` joins one of each without either package knowing the other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from domain.errors import ProviderError
from domain.networks import Network
from domain.refreshing import Appointment, Claim, RefreshRules
from domain.values import (
    Address,
    AssetId,
    BlockHeight,
    ChainId,
    Lane,
    Missing,
    ReadAnswer,
    Snapshot,
    StoredSnapshot,
)


class CallBudget(Protocol):
    """How many calls the nodes of a network are given, whoever makes them."""

    def call(
        self, chain_id: ChainId, lane: Lane, *, timeout_seconds: float
    ) -> AbstractAsyncContextManager[None]:
        """Hold the right to one call for the length of the block, waiting for it if need be.

        The more urgent lane has the larger part of the budget, so that it goes before.

        Raises:
            BudgetExhaustedError: on entering, there is no place before the timeout.
            CacheUnavailableError: on entering, the budget is kept in a store that is away.
        """
        ...


class BalanceProvider(Protocol):
    """A source of balances for one network."""

    async def fetch_many(
        self,
        addresses: Sequence[Address],
        *,
        required_height: BlockHeight = 0,
        lane: Lane = Lane.READ,
        deadline_seconds: float | None = None,
    ) -> Mapping[Address, Snapshot | ProviderError]:
        """Fetch all balances of each predicate, true at `required_height` or later.

        One failing predicate does not fail the others: its error stands in its place. Every
        address that was asked for is a key of the answer; duplicates are asked once. Never
        takes longer than the deadline (None: the provider's configured one).
        """
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """The only permission to publish a snapshot of one predicate on one chain.

    Attributes:
        address: the predicate.
        chain_id: the chain.
        token: proves whose lease it is; a publish without it is refused.
        required_height: what the node must be asked for: the highest of what invalidations
            demanded and what is stored already.
        lasts_ms: how long it lasts unless it is extended.
    """

    address: Address
    chain_id: ChainId
    token: str
    required_height: BlockHeight
    lasts_ms: int = 10_000


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody else holds the lease.

    Attributes:
        wait_ms: how long that lease lasts if nobody publishes or extends it.
    """

    wait_ms: int


class PublishOutcome(StrEnum):
    """What became of a publish. Everything but PUBLISHED changed nothing that a reader sees."""

    PUBLISHED = "published"
    LEASE_LOST = "lease_lost"  # expired and taken over, invalidated, evicted, flushed
    FLAG_CHANGED = "flag_changed"  # a foreign writer invalidated or wrote meanwhile
    BELOW_MINIMUM = "below_minimum"  # the node is behind what an invalidation demanded
    OLDER_THAN_STORED = "older_than_stored"  # a newer snapshot is already there
    TOO_LARGE = "too_large"  # more than readers accept


class BalanceCache(Protocol):
    """The coherent store of snapshots.

    The law: once `invalidate` has returned, no read returns as `Fresh` what was fetched before
    it or is true below its height. Every method raises `CacheUnavailableError` when the store
    does not answer, and no other error for a value that it cannot read (that is a miss).
    """

    async def read(
        self, chain_id: ChainId, addresses: Sequence[Address], *, counted: bool = True
    ) -> Mapping[Address, ReadAnswer]:
        """Read many predicates on one chain, fresh ones in one round trip.

        Hits and misses are what readers met: who only looks what there is to do, or looks again
        after a refill, says so by `counted`.
        """
        ...

    async def not_fresh(
        self, chain_id: ChainId, addresses: Sequence[Address]
    ) -> tuple[Address, ...]:
        """Return those that a reader would have to wait for, each once, in order.

        Cheaper than `read` for whoever only looks what there is to do; counts nothing.
        """
        ...

    async def acquire(
        self,
        chain_id: ChainId,
        addresses: Sequence[Address],
        *,
        seen: Mapping[Address, int] | None = None,
    ) -> Mapping[Address, Lease | Busy]:
        """Ask for the lease of each predicate: whoever gets it fetches, others wait.

        ``seen`` names the version that the caller has read (0 for Missing and for a foreign
        value). Where a newer fresh one was published since, nobody needs to fetch: the answer
        is `Busy` with a wait of 0, read again. Without it the lease is given in any case, as a
        forced refresh needs.
        """
        ...

    async def extend(self, leases: Sequence[Lease]) -> Mapping[Address, bool]:
        """Prolong leases that are still ours; False where a lease is lost."""
        ...

    async def publish(
        self, leased: Sequence[tuple[Lease, Snapshot]]
    ) -> Mapping[Address, PublishOutcome]:
        """Store each snapshot if its lease still permits it; the lease ends either way."""
        ...

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back unused (the fetch failed); another's lease is never touched."""
        ...

    async def wait_published(
        self, chain_id: ChainId, addresses: Sequence[Address], timeout_seconds: float
    ) -> None:
        """Return when each predicate's present lease has ended, or at the timeout.

        Waiters are told by notification. Read again afterwards: an ended lease is no promise.
        """
        ...

    async def invalidate(
        self,
        addresses: Sequence[Address],
        chain_id: ChainId | None = None,
        height: BlockHeight | None = None,
    ) -> None:
        """Declare what is stored wrong, and what is true below `height` (None: unknown).

        No chain id means every configured chain; heights need a chain id. The last known
        snapshot stays, to be served as `Stale`.

        Raises:
            InvalidValueError: a height without a chain id.
        """
        ...

    async def require(self, chain_id: ChainId, height: BlockHeight) -> None:
        """Publish nothing of this chain any more that is true below the height.

        What is stored stays as it is. For whoever goes through it, predicate by predicate: a
        fetch that is under way meanwhile must not bring back what he has found to be wrong.

        Raises:
            InvalidValueError: a height that no chain can have.
        """
        ...

    async def clear(self, addresses: Sequence[Address], chain_id: ChainId | None = None) -> int:
        """Forget snapshots, fresh and last known; returns how many keys went."""
        ...

    async def clear_invalidation(
        self, addresses: Sequence[Address], chain_id: ChainId | None = None
    ) -> None:
        """Drop the drop-in invalidation flags; never makes an old value fresh again."""
        ...

    async def mark_read(self, chain_id: ChainId, addresses: Sequence[Address]) -> None:
        """Note that somebody looks at these predicates: they join or stay in the hot set."""
        ...

    async def due(self, chain_id: ChainId, limit: int) -> Sequence[Address]:
        """Return hot predicates that are about to expire or not fresh, the most overdue first.

        Takes time proportional to their number. One that nobody read lately falls out.
        """
        ...

    async def stats(self) -> Mapping[str, object]:
        """Return counters and settings for people (the document's `stats`)."""
        ...


class RefreshSchedule(Protocol):
    """When each hot predicate is refreshed, and within what budget, over all processes.

    Every method raises `CacheUnavailableError` when the store does not answer.
    """

    async def claim(self, chain_id: ChainId, rules: RefreshRules) -> Claim:
        """Take predicates that are due, and node calls of the budget.

        What is claimed is due for nobody else for half a minute; then, unless an appointment
        was made, for everybody. Takes time proportional to the number of those that are due.
        A predicate that nobody read lately falls out.
        """
        ...

    async def settle(
        self,
        chain_id: ChainId,
        appointments: Sequence[Appointment],
        *,
        price: float,
        unused_calls: int,
        rules: RefreshRules,
    ) -> None:
        """Make appointments, keep the price, and give back the calls that were not made.

        A predicate that fell out stays out; one that was invalidated meanwhile is due at once.
        """
        ...


class Source(StrEnum):
    """Where an answer came from."""

    CACHE = "cache"
    NODE = "node"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a reader needs of each answer, beyond what the law promises everybody.

    Attributes:
        min_height: balances that are true at this block or later: a caller who knows the height
            of his own transaction reads his own write.
        max_age_ms: balances that were published at most so long ago; None: whatever is fresh.
    """

    min_height: BlockHeight = 0
    max_age_ms: int | None = None

    def is_met(self, answer: ReadAnswer, *, refilled: bool = False) -> bool:
        """Tell whether an answer satisfies it; what this very read has fetched is young enough."""
        if isinstance(answer, Missing):
            return self == NO_DEMAND
        if answer.stored.snapshot.height < self.min_height:
            return False
        return refilled or self.max_age_ms is None or answer.age_ms <= self.max_age_ms


NO_DEMAND = Demand()


class Unmet(StrEnum):
    """Why an answer is not what its reader demanded."""

    PENDING = "pending"  # it is being fetched: come again
    REFUSED = "refused"  # the node was asked, and has it not, or does not answer


@dataclass(frozen=True, slots=True)
class Served:
    """What a reader gets.

    Attributes:
        answer: what is known.
        source: where it came from.
        unmet: why it is not what was demanded; None: it is.
    """

    answer: ReadAnswer
    source: Source
    unmet: Unmet | None = None


@dataclass(frozen=True, slots=True)
class Refilled:
    """A refill fetched and published a snapshot."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class RefillFailed:
    """A refill published nothing.

    ``snapshot`` is what the node told when the publish alone was refused or impossible.
    """

    error: ProviderError | PublishOutcome
    snapshot: Snapshot | None = None


RefillOutcome = Refilled | Busy | RefillFailed
"""Busy: somebody else is fetching this predicate right now."""


class BalanceReader(Protocol):
    """Balances of one network, through the cache: what the API and the tasks call."""

    network: Network

    async def read_many(
        self,
        addresses: Sequence[Address],
        *,
        allow_stale: bool = False,
        wait_seconds: float | None = None,
        demand: Demand = NO_DEMAND,
    ) -> Mapping[Address, Served]:
        """Answer from the cache; fetch what is not fresh, at the latest until `wait_seconds`.

        What is fresh and not what is demanded is fetched too. With `allow_stale` what is stale is
        served at once, without waiting. After the wait a stale answer is served, marked, an
        unknown one is `Missing`, and one that does not meet the demand says so (`unmet`); the
        fetch goes on, also when there was no time to wait for it at all. When the cache is away
        the node is asked directly, bounded. Never raises for a node or a cache that fails.
        """
        ...

    def served_again(self, served: Mapping[Address, Served], times: int) -> None:
        """Note that answers of `read_many` still held, and were sent so many times more."""
        ...

    async def refill(
        self,
        addresses: Sequence[Address],
        *,
        lane: Lane,
        required_height: BlockHeight = 0,
    ) -> Mapping[Address, RefillOutcome]:
        """Take leases, fetch in as few node requests as possible, publish.

        A publish that is refused because of an invalidation is fetched again, a bounded number
        of times.

        Raises:
            CacheUnavailableError: no lease can be had; nothing was fetched.
        """
        ...


class LastKnown(Protocol):
    """What is kept of balances beside the cache, for the day on which the cache has lost them."""

    async def last_known(
        self, chain_id: ChainId, addresses: Collection[Address]
    ) -> Mapping[Address, StoredSnapshot]:
        """Return the newest of what is kept; who was never kept has no place in the answer.

        Raises:
            RegistryUnavailableError: it cannot be read now.
        """
        ...


class PredicateDirectory(Protocol):
    """Whose predicates: what the tasks ask the registry."""

    async def addresses_of_users(self, user_ids: Sequence[str]) -> Mapping[str, Sequence[Address]]:
        """Return the addresses of all predicates of each user, newest first.

        A user that there is not is left out.
        """
        ...


class TaskPublisher(Protocol):
    """Hands tasks to the workers: what the API calls without knowing who runs them."""

    async def send(
        self,
        name: str,
        args: Sequence[object],
        *,
        queue: str,
        expires: float | None = None,
    ) -> str:
        """Publish one task and return its id.

        Takes about 100 ms at most, also when the broker is gone.

        Args:
            name: the task's stable name, for example ``balances.invalidate``.
            args: its positional arguments: JSON values only.
            queue: the lane that it goes through.
            expires: seconds after which nobody needs it any more; None: it never expires.

        Raises:
            PublishingError: the broker did not take the task in time; nothing was accepted.
        """
        ...

    async def warm_user(self, user_id: str, chain_id: ChainId | None = None) -> str:
        """Publish the warm-up of a user's predicates; no chain id means every network.

        Logins that come together share a task; the id that is returned is then each one's. Takes
        about 200 ms at most: one that comes while others are published waits for them.

        Raises:
            PublishingError: the broker did not take the task in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class PriceList:
    """What a source of prices tells.

    Attributes:
        prices: dollars for one whole unit, as a decimal text, by asset.
        assets: verified assets in the form of Fuel's own list: objects with ``networks``, each
            with ``type``, ``chainId``, ``assetId`` and ``decimals``.
    """

    prices: Mapping[AssetId, str]
    assets: Sequence[Mapping[str, object]] = ()


class PriceSource(Protocol):
    """Where prices come from when nobody else keeps them in Redis."""

    async def fetch(self) -> PriceList:
        """Return the present prices.

        Raises:
            PriceSourceError: there are none that can be used.
        """
        ...
