"""The coherent store in Redis: joins reading, leases, publishing, waiting and the hot set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from redis.asyncio import Redis

from cache.clock import ServerClock
from cache.commands import Commands
from cache.counters import Counters
from cache.hot import HotSet
from cache.keys import Keys
from cache.leases import Leases
from cache.lives import (
    JITTER,
    PROBATION_FRESH_SECONDS,
    PROBATION_SECONDS,
    Lives,
    milliseconds,
)
from cache.local_copy import CopiedReading, LocalCopy
from cache.publishing import Published, Publishing
from cache.reading import Reading
from cache.refresh_schedule import RedisRefreshSchedule
from cache.statistics import Statistics
from cache.versions import Versions
from cache.waiting import Endings, wait_until_ended
from domain.errors import CacheUnavailableError, ConfigurationError
from domain.measures import Measures, NoMeasures
from domain.ports import Busy, Lease, PublishOutcome
from domain.values import Address, BlockHeight, ChainId, ReadAnswer, Snapshot

FOREIGN_SKEW_SECONDS = 60.0
"""How long after our invalidation a foreign writer's value may still be from before it: its
longest fetch and its clock's error."""


class RedisBalanceCache:
    """`domain.ports.BalanceCache` on Redis.

    One object serves a process and its event loop. Every method raises
    `CacheUnavailableError` when Redis does not answer within a bound.
    """

    def __init__(
        self,
        client: Redis,
        *,
        chain_ids: Sequence[ChainId],
        fresh_seconds: float = 600,
        keep_seconds: float = 86_400,
        flag_seconds: float = 3_600,
        lease_seconds: float = 10,
        transaction_cache_seconds: float = 600,
        hot_life_seconds: float = 3_600,
        refresh_ahead_seconds: float = 60,
        hash_tags: bool = False,
        jitter: float = JITTER,
        probation_seconds: float = PROBATION_SECONDS,
        probation_fresh_seconds: float = PROBATION_FRESH_SECONDS,
        foreign_skew_seconds: float = FOREIGN_SKEW_SECONDS,
        copied_vaults: int = 0,
        commands: Commands | None = None,
        clock: ServerClock | None = None,
        measures: Measures | None = None,
    ) -> None:
        """`commands` and `clock` are the seams where the coherence check steps in between.

        ``copied_vaults`` is how many predicates are copied into this process; 0: no copy.

        Raises:
            ConfigurationError: a copy of a cluster, of what Sentinels name, or with hash tags.
        """
        self._client = client
        lives = Lives(
            fresh_seconds=fresh_seconds,
            keep_seconds=keep_seconds,
            flag_seconds=flag_seconds,
            lease_seconds=lease_seconds,
            transaction_cache_seconds=transaction_cache_seconds,
            hot_life_seconds=hot_life_seconds,
            refresh_ahead_seconds=refresh_ahead_seconds,
            jitter=jitter,
            probation_seconds=probation_seconds,
            probation_fresh_seconds=probation_fresh_seconds,
        )
        commands, keys = commands or Commands(client), Keys(hash_tags)
        self._keys, self._lives, self._chain_ids = keys, lives, tuple(chain_ids)
        self.counters = Counters()
        self._measures = measures = measures or NoMeasures()
        clock = clock or ServerClock()
        reading = Reading(
            commands,
            keys,
            clock,
            self.counters,
            measures,
            foreign_skew_ms=milliseconds(foreign_skew_seconds),
        )
        self.clock = clock
        # With hash tags no one script sees what every slot holds.
        self.versions = None if hash_tags else Versions(client, tracked=copied_vaults > 0)
        self._copy = _copy_of(client, copied_vaults, hash_tags=hash_tags)
        self._reading: Reading | CopiedReading = reading
        if self._copy is not None:
            self._reading = CopiedReading(reading, self._copy, clock, self.counters, measures)
        self._leases = Leases(commands, keys, lives)
        self._publishing = Publishing(commands, keys, lives, chain_ids)
        self._endings = Endings(client)
        self._hot = HotSet(commands, keys, lives)
        self.schedule = RedisRefreshSchedule(commands, keys, lives)
        self._statistics = Statistics(commands, self.counters, lives)

    async def read(
        self, chain_id: ChainId, addresses: Sequence[Address], *, counted: bool = True
    ) -> Mapping[Address, ReadAnswer]:
        """Read many predicates on one chain, fresh ones in one round trip."""
        with self._errors_counted():
            return await self._reading.read(chain_id, addresses, counted=counted)

    async def not_fresh(
        self, chain_id: ChainId, addresses: Sequence[Address]
    ) -> tuple[Address, ...]:
        """Return those that a reader would have to wait for; as a rule in one round trip."""
        with self._errors_counted():
            return await self._reading.not_fresh(chain_id, addresses)

    async def acquire(
        self,
        chain_id: ChainId,
        addresses: Sequence[Address],
        *,
        seen: Mapping[Address, int] | None = None,
    ) -> Mapping[Address, Lease | Busy]:
        """Ask for the lease of each predicate: whoever gets it fetches, others wait."""
        return await self._leases.acquire(chain_id, addresses, seen)

    async def extend(self, leases: Sequence[Lease]) -> Mapping[Address, bool]:
        """Prolong leases that are still ours; False where a lease is lost."""
        return await self._leases.extend(leases)

    async def publish(
        self, leased: Sequence[tuple[Lease, Snapshot]]
    ) -> Mapping[Address, PublishOutcome]:
        """Store each snapshot if its lease still permits it; the lease ends either way.

        Raises:
            InvalidValueError: a snapshot of another predicate or chain than its lease.
        """
        with self._errors_counted(), self._forgotten(lease.address for lease, _ in leased):
            published = await self._publishing.publish(leased)
        if self._keys.hash_tags:
            await self._put_off(leased, published)
        outcomes = {address: one.outcome for address, one in published.items()}
        for lease, _ in leased:
            outcome = outcomes[lease.address]
            self.counters.count(outcome.value)
            self._measures.published(lease.chain_id, outcome)
        return outcomes

    async def _put_off(
        self,
        leased: Sequence[tuple[Lease, Snapshot]],
        published: Mapping[Address, Published],
    ) -> None:
        due: defaultdict[tuple[ChainId, int], list[Address]] = defaultdict(list)
        for lease, _ in leased:
            outcome, due_in_ms = published[lease.address]
            if outcome is PublishOutcome.PUBLISHED:
                soonest = min(due_in_ms, self._lives.soft_ms)  # one time for all but a few
                due[lease.chain_id, soonest].append(lease.address)
        for (chain_id, due_in_ms), addresses in due.items():
            await self._hot.reschedule((chain_id,), addresses, due_in_ms)

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back unused; another's lease is never touched."""
        await self._leases.release(leases)

    async def wait_published(
        self, chain_id: ChainId, addresses: Sequence[Address], timeout_seconds: float
    ) -> None:
        """Return when each predicate's present lease has ended, or at the timeout."""
        await wait_until_ended(self._endings, self._leases, chain_id, addresses, timeout_seconds)

    async def invalidate(
        self,
        addresses: Sequence[Address],
        chain_id: ChainId | None = None,
        height: BlockHeight | None = None,
    ) -> None:
        """Declare what is stored wrong, and what is true below `height`.

        Raises:
            InvalidValueError: a height without a chain id, or one that no chain can have.
        """
        with self._errors_counted(), self._forgotten(addresses):
            await self._publishing.invalidate(addresses, chain_id, height)
        if self._keys.hash_tags:
            chains = self._chain_ids if chain_id is None else (chain_id,)
            await self._hot.reschedule(chains, addresses, 0)
        self.counters.count("invalidations", len(set(addresses)))
        self._measures.invalidated(chain_id, len(set(addresses)))
        # A process that only invalidates makes no read that would take its counts along.
        await self._statistics.flush()

    async def require(self, chain_id: ChainId, height: BlockHeight) -> None:
        """Publish nothing of this chain any more that is true below the height.

        With hash tags nothing happens: no script can see this key beside those of a predicate.

        Raises:
            InvalidValueError: a height that no chain can have.
        """
        with self._errors_counted():
            await self._publishing.require(chain_id, height)

    async def clear(self, addresses: Sequence[Address], chain_id: ChainId | None = None) -> int:
        """Forget snapshots, fresh and last known; returns how many keys went."""
        with self._forgotten(addresses):
            return await self._publishing.clear(addresses, chain_id)

    async def clear_invalidation(
        self, addresses: Sequence[Address], chain_id: ChainId | None = None
    ) -> None:
        """Drop the drop-in invalidation flags; never makes an old value fresh again."""
        await self._publishing.clear_invalidation(addresses, chain_id)

    async def mark_read(self, chain_id: ChainId, addresses: Sequence[Address]) -> None:
        """Note that somebody looks at these predicates: they join or stay in the hot set."""
        await self._hot.mark_read(chain_id, addresses)

    async def due(self, chain_id: ChainId, limit: int) -> Sequence[Address]:
        """Return hot predicates that are about to expire or not fresh, most overdue first."""
        return await self._hot.due(chain_id, limit)

    async def stats(self) -> Mapping[str, object]:
        """Return counters and settings for people; walks the keys, so not for request paths."""
        return await self._statistics.read()

    async def counts(self) -> Mapping[str, int]:
        """Return what all processes counted; walks no keys."""
        return await self._statistics.counts()

    async def reset_stats(self) -> None:
        """Set every counter to zero."""
        await self._statistics.reset()

    @contextmanager
    def _errors_counted(self) -> Iterator[None]:
        try:
            yield
        except CacheUnavailableError:
            self._count_error()
            raise

    def _count_error(self) -> None:
        self.counters.count("unavailable")
        self._measures.cache_failed("unavailable")

    @contextmanager
    def _forgotten(self, addresses: Iterable[Address]) -> Iterator[None]:
        """Whatever comes of the change, the next read in this process is not from the copy."""
        try:
            yield
        finally:
            changed = list(addresses)
            if self._copy is not None:
                self._copy.forget(changed)
            if self.versions is not None:
                self.versions.forget(changed)

    async def aclose(self) -> None:
        """End the copy and the subscription, and close the client."""
        if self._copy is not None:
            await self._copy.aclose()
        if self.versions is not None:
            await self.versions.aclose()
        await self._endings.close()
        await self._client.aclose()


def _copy_of(client: Redis, vaults: int, *, hash_tags: bool) -> LocalCopy | None:
    if not vaults:
        return None
    if hash_tags:
        raise ConfigurationError("LOCAL_COPY: does not go with REDIS_HASH_TAGS")
    return LocalCopy(client, most_vaults=vaults)
