"""What a task's body is given: the parts of its process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from cache.changes import ChangeStream
from cache.companions import Companions
from cache.dead_letters import DeadLetters
from cache.heartbeat import Heartbeat
from cache.keeper import Keeper
from cache.recent import RecentLog
from cache.sampling import AuditSample
from cache.tally import Tally
from cache.warm_ups import WarmUps
from cache.watched import WatchedPredicates
from config.settings import Settings
from domain.errors import ProviderError
from domain.events import EventLog
from domain.measures import Measures
from domain.ports import BalanceCache, BalanceReader, PredicateDirectory, RefreshSchedule
from domain.values import Address, ChainId
from provider.behind import BackgroundWork
from provider.comparing import Comparer
from registry.snapshots import DurableSnapshots
from runtime.following import FollowedChain


class Parts(Protocol):
    """The parts that tasks use; `runtime.assembly.Runtime` has them, and a few more."""

    @property
    def settings(self) -> Settings:
        """What the operator decided."""
        ...

    @property
    def cache(self) -> BalanceCache:
        """The coherent store."""
        ...

    @property
    def schedule(self) -> RefreshSchedule:
        """When each hot predicate is refreshed."""
        ...

    @property
    def beat(self) -> Heartbeat:
        """When beat was last heard of."""
        ...

    @property
    def registry(self) -> PredicateDirectory:
        """Whose predicates there are."""
        ...

    @property
    def warm_ups(self) -> WarmUps:
        """Vaults that wait for a warm-up."""
        ...

    @property
    def tally(self) -> Tally:
        """Counts what operators count."""
        ...

    @property
    def measures(self) -> Measures:
        """Counts what happens in this process."""
        ...

    @property
    def companions(self) -> Companions:
        """Invalidated vaults that share the next request."""
        ...

    @property
    def dead_letters(self) -> DeadLetters:
        """Messages that nobody could work on."""
        ...

    @property
    def vault_log(self) -> EventLog:
        """What happened to each vault."""
        ...

    @property
    def recent(self) -> RecentLog:
        """What happened lately, whoever it happened to."""
        ...

    @property
    def background(self) -> BackgroundWork:
        """What goes on between tasks and ends with the process."""
        ...

    @property
    def changes(self) -> ChangeStream:
        """What is published and invalidated, as it happens."""
        ...

    @property
    def keeper(self) -> Keeper:
        """How far the database has followed."""
        ...

    @property
    def watched(self) -> WatchedPredicates:
        """Whom the cache holds something of."""
        ...

    @property
    def durable(self) -> DurableSnapshots:
        """The last known balances in the database."""
        ...

    @property
    def audit_sample(self) -> AuditSample:
        """Draws whom an audit looks at."""
        ...

    def comparer(self, chain_id: ChainId) -> Comparer:
        """Return what compares the cache of a network with its nodes.

        Raises:
            UnknownNetworkError: the chain is not on the allow-list.
        """
        ...

    def followed(self, chain_id: ChainId) -> FollowedChain:
        """Return what the follower of a chain works with.

        Raises:
            UnknownNetworkError: the chain is not on the allow-list.
        """
        ...

    def vaults_per_request(self, chain_id: ChainId) -> int:
        """Return how many vaults a node of this network takes in one request."""
        ...

    def reader(self, chain_id: ChainId) -> BalanceReader:
        """Return the balances of one network.

        Raises:
            UnknownNetworkError: the chain is not on the allow-list.
        """
        ...

    async def refresh_prices(self, *, older_than_seconds: float = 0) -> int | None:
        """Fetch prices from the configured source, unless the kept ones are young enough."""
        ...

    async def clear(self, addresses: Sequence[Address], chain_id: ChainId | None = None) -> int:
        """Forget snapshots, fresh, last known and those in the database."""
        ...

    async def verify_nodes(self) -> Mapping[ChainId, ProviderError | None]:
        """Ask every network's nodes who they are; None where all is well."""
        ...

    async def close(self) -> None:
        """Give all connections back."""
        ...
