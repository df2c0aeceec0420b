"""The composition root: every part of the service, built from the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from cache.administration import Administration
from cache.budget import RedisCallBudget
from cache.call_limit import CallLimit
from cache.changes import ChangeStream
from cache.companions import Companions
from cache.connection import connect
from cache.cursor import FollowerCursors
from cache.dead_letters import DeadLetters
from cache.foreign import ForeignBalances
from cache.heartbeat import Heartbeat
from cache.inspection import Inspector
from cache.keeper import Keeper
from cache.prices import PriceStore
from cache.quotes import QuoteStore
from cache.recent import RecentLog
from cache.registry_version import RegistryVersion
from cache.rest import rest_of
from cache.sampling import AuditSample
from cache.server import CacheServer
from cache.sessions import SessionStore
from cache.store import RedisBalanceCache
from cache.tally import Tally
from cache.vault_log import VaultLog
from cache.vitals import VitalSigns
from cache.warm_ups import WarmUps
from cache.watched import WatchedPredicates
from config.settings import Settings
from domain.budget import BudgetLimits
from domain.errors import CacheUnavailableError, ProviderError, RegistryUnavailableError
from domain.measures import Measures, NoMeasures
from domain.networks import Network
from domain.ports import BalanceReader, CallBudget, PriceSource, RefreshSchedule
from domain.values import Address, ChainId
from provider.behind import BackgroundWork
from provider.blocks import ChainReader
from provider.budget import LocalCallBudget, SharedOrLocalBudget
from provider.cached import CachedProvider
from provider.comparing import Comparer
from provider.node import NodeProvider
from provider.prices import source_of
from provider.reports import NodeReport, report_nodes
from registry.snapshots import DurableSnapshots
from registry.store import Registry
from runtime.following import FollowedChain
from runtime.health import NodeWatch, verified
from runtime.shadow import Shadow, ShadowedReader

_log = structlog.get_logger(__name__)


@dataclass
class Runtime:
    """The parts of one process and one event loop; the API has one, each worker process has one.

    Opening connects to nothing: a service that is down is met by the first call that needs it,
    and judged there. `await close()` gives all connections back.

    Attributes:
        settings: what the operator decided.
        cache: the coherent store.
        registry: whose predicates there are.
        registry_version: tells processes that the registry has changed.
        sessions: Bako's sessions in Redis.
        quotes: Bako's prices and assets in Redis.
        administration: what operators ask of the whole key space.
        call_limit: how often service callers may call.
        warm_ups: vaults that wait for a warm-up.
        tally: counts what operators count.
        companions: invalidated vaults that share the next request.
        dead_letters: messages that nobody could work on.
        vault_log: what happened to each vault.
        inspector: what Redis holds of single vaults.
        server: what the cache's server says of itself.
        recent: what happened lately, whoever it happened to.
        beat: when beat was last heard of.
        vitals: how the cache is, for those who watch.
        measures: counts what happens in this process.
        prices: prices that we keep ourselves, where Bako keeps none.
        price_source: where those come from; None: nowhere.
        audit_sample: draws whom an audit looks at.
        changes: what is published and invalidated, as it happens.
        durable: the last known balances in the database, and their history.
        keeper: how far the database has followed what is published.
        shadow: compares what is served; None: nobody wants it.
        watched: whom the cache holds something of.
        background: what goes on beside requests and tasks until the parts are closed.
    """

    settings: Settings
    cache: RedisBalanceCache
    registry: Registry
    registry_version: RegistryVersion
    sessions: SessionStore
    quotes: QuoteStore
    administration: Administration
    call_limit: CallLimit
    warm_ups: WarmUps
    tally: Tally
    companions: Companions
    dead_letters: DeadLetters
    vault_log: VaultLog
    inspector: Inspector
    server: CacheServer
    recent: RecentLog
    beat: Heartbeat
    vitals: VitalSigns
    measures: Measures
    prices: PriceStore
    price_source: PriceSource | None
    changes: ChangeStream
    background: BackgroundWork
    audit_sample: AuditSample
    durable: DurableSnapshots
    keeper: Keeper
    shadow: Shadow | None
    watched: WatchedPredicates
    _nodes: Mapping[ChainId, NodeProvider]
    _readers: Mapping[ChainId, CachedProvider]
    _watches: Sequence[NodeWatch]
    _followed: Mapping[ChainId, FollowedChain]

    @classmethod
    async def open(cls, settings: Settings, measures: Measures | None = None) -> Runtime:
        """Build the parts.

        Args:
            settings: what the operator decided.
            measures: counts what happens; None: nobody does.

        Raises:
            ConfigurationError: the address of Redis or of the database is of no known kind, or
                `LOCAL_COPY` does not go with it.
        """
        measures = measures or NoMeasures()
        client = connect(settings.redis_url)
        rest_of(client).told = measures.cache_rests
        registry = Registry.open(settings.database_url)
        cache = RedisBalanceCache(
            client,
            chain_ids=settings.chain_ids,
            fresh_seconds=settings.balance_cache_ttl,
            keep_seconds=settings.balance_keep_ttl,
            flag_seconds=settings.balance_invalidation_ttl,
            lease_seconds=settings.lease_seconds,
            transaction_cache_seconds=settings.transaction_cache_ttl,
            hot_life_seconds=settings.hot_life_seconds,
            refresh_ahead_seconds=settings.refresh_ahead_seconds,
            hash_tags=settings.redis_hash_tags,
            copied_vaults=settings.local_copy_max_vaults if settings.local_copy else 0,
            measures=measures,
        )
        vault_log = VaultLog(client, hash_tags=settings.redis_hash_tags)
        budget = _budget(settings, RedisCallBudget(client, _limits(settings)), measures)
        nodes = {n.chain_id: _node(settings, n, budget, measures) for n in settings.fuel_networks}
        durable = registry.durable_snapshots()
        tally = Tally(client)
        watched = WatchedPredicates(client, hash_tags=settings.redis_hash_tags)
        readers = {
            chain_id: CachedProvider(
                node.network,
                node,
                cache,
                read_wait_seconds=settings.read_wait_seconds,
                enabled=settings.enable_balance_cache,
                measures=measures,
                durable=durable if settings.durable_enabled else None,
                keep_seconds=settings.balance_keep_ttl,
                events=vault_log,
            )
            for chain_id, node in nodes.items()
        }
        return cls(
            settings=settings,
            cache=cache,
            registry=registry,
            registry_version=RegistryVersion(client),
            sessions=SessionStore(client),
            quotes=QuoteStore(client),
            administration=Administration(client),
            call_limit=CallLimit(client, settings.internal_rate_limit),
            warm_ups=WarmUps(client, settings.warmup_concurrency),
            tally=tally,
            companions=Companions(client),
            dead_letters=DeadLetters(client),
            vault_log=vault_log,
            inspector=Inspector(
                client,
                hot_life_seconds=settings.hot_life_seconds,
                hash_tags=settings.redis_hash_tags,
            ),
            server=CacheServer(client),
            recent=RecentLog(client),
            beat=Heartbeat(client),
            vitals=VitalSigns(client, hash_tags=settings.redis_hash_tags),
            measures=measures,
            prices=PriceStore(client),
            price_source=None
            if settings.price_source is None
            else source_of(settings.price_source),
            changes=ChangeStream(client),
            _nodes=nodes,
            _readers=readers,
            _watches=[NodeWatch(node) for node in nodes.values()],
            background=BackgroundWork(),
            durable=durable,
            keeper=Keeper(client, hash_tags=settings.redis_hash_tags),
            watched=watched,
            shadow=_shadow(settings, nodes, cache, tally),
            audit_sample=AuditSample(client, hash_tags=settings.redis_hash_tags),
            _followed={
                network.chain_id: FollowedChain(
                    chain_id=network.chain_id,
                    reader=ChainReader(network, budget=budget, measures=measures),
                    cache=cache,
                    cursors=FollowerCursors(client),
                    durable=registry.durable_cursors(),
                    snapshots=durable,
                    watched=watched,
                    registry=registry,
                    vault_log=vault_log,
                )
                for network in settings.fuel_networks
            },
        )

    def reader(self, chain_id: ChainId) -> BalanceReader:
        """Return the balances of one network.

        Raises:
            UnknownNetworkError: the chain is not on the allow-list.
        """
        self.settings.network(chain_id)
        reader: BalanceReader = self._readers[chain_id]
        return reader if self.shadow is None else ShadowedReader(reader, self.shadow)

    def comparer(self, chain_id: ChainId) -> Comparer:
        """Return what compares the cache of a network with its nodes.

        Raises:
            UnknownNetworkError: the chain is not on the allow-list.
        """
        self.settings.network(chain_id)
        return Comparer(chain_id, self.cache, self._nodes[chain_id])

    def followed(self, chain_id: ChainId) -> FollowedChain:
        """Return what the follower of a chain works with.

        Raises:
            UnknownNetworkError: the chain is not on the allow-list.
        """
        self.settings.network(chain_id)
        return self._followed[chain_id]

    @property
    def schedule(self) -> RefreshSchedule:
        """When each hot predicate is refreshed, over all processes."""
        return self.cache.schedule

    def vaults_per_request(self, chain_id: ChainId) -> int:
        """Return how many vaults the nodes of a network take in one request.

        Raises:
            UnknownNetworkError: the chain is not on the allow-list.
        """
        self.settings.network(chain_id)
        return self._nodes[chain_id].vaults_per_request()

    async def verify_nodes(self) -> Mapping[ChainId, ProviderError | None]:
        """Ask every network's nodes who they are; None where one answered and is the right one."""
        outcomes = await asyncio.gather(*(verified(node) for node in self._nodes.values()))
        return dict(zip(self._nodes, outcomes, strict=True))

    async def node_reports(self, timeout_seconds: float) -> Mapping[ChainId, Sequence[NodeReport]]:
        """Ask each node of every network what it says of itself; costs no budget."""
        networks = self.settings.fuel_networks
        found = await asyncio.gather(*(report_nodes(n, timeout_seconds) for n in networks))
        return {n.chain_id: reports for n, reports in zip(networks, found, strict=True)}

    async def troubles(self) -> Mapping[str, str]:
        """Return what does not work at this moment, by name; empty: all is well.

        Redis and the database are asked; what the nodes said is remembered for some seconds.
        """
        checks = {
            "redis": self._check_cache(),
            "database": self._check_registry(),
            **{f"node:{watch.name}": watch.trouble() for watch in self._watches},
        }
        found = await asyncio.gather(*checks.values())
        return {name: why for name, why in zip(checks, found, strict=True) if why is not None}

    async def warnings(self) -> Mapping[str, str]:
        """Return what hurts nobody yet, by name: reads are right without beat, but not warm."""
        if not self.settings.enable_balance_cache:
            return {}
        try:
            silence = await self.beat.silent_seconds()
        except CacheUnavailableError:
            return {}
        if silence is None:
            return {"beat": "no sign of it"}
        if silence > self.settings.beat_silent_seconds:
            return {"beat": f"silent for {silence:.0f} s"}
        return {}

    async def clear(self, addresses: Sequence[Address], chain_id: ChainId | None = None) -> int:
        """Forget snapshots, fresh, last known and those in the database; return how many keys went.

        Without a chain id: of every configured chain. A database that does not take it is logged:
        what it keeps may be served as restored then.

        Raises:
            CacheUnavailableError: Redis does not answer; nothing was forgotten.
        """
        cleared = await self.cache.clear(addresses, chain_id)
        chains = self.settings.chain_ids if chain_id is None else (chain_id,)
        if self.settings.durable_enabled and addresses:
            try:
                for each in chains:
                    await self.durable.forget(each, addresses)
            except RegistryUnavailableError as error:
                _log.warning("not_cleared_in_database", reason=str(error))
        return cleared

    async def refresh_prices(self, *, older_than_seconds: float = 0) -> int | None:
        """Fetch prices from the configured source and keep them; return how many.

        None: nothing was fetched, because there is no source or the kept ones are younger.

        Raises:
            PriceSourceError: the source gave none; those that we have go on.
            CacheUnavailableError: they cannot be kept.
        """
        if self.price_source is None:
            return None
        age = await self.prices.age_seconds()
        if age is not None and age < older_than_seconds:
            return None
        found = await self.price_source.fetch()
        await self.prices.write(found)
        return len(found.prices)

    async def close(self) -> None:
        """Give all connections back."""
        await self.background.close()
        if self.shadow is not None:
            await self.shadow.close()
        for chain in self._followed.values():
            await chain.reader.close()
        for reader in self._readers.values():
            await reader.close()
        for node in self._nodes.values():
            await node.close()
        await self.cache.aclose()
        await self.registry.close()

    async def _check_cache(self) -> str | None:
        try:
            await self.sessions.get("ready")
        except CacheUnavailableError as error:
            return str(error)
        return None

    async def _check_registry(self) -> str | None:
        try:
            await self.registry.check()
        except RegistryUnavailableError as error:
            return str(error)
        return None


def _shadow(
    settings: Settings,
    nodes: Mapping[ChainId, NodeProvider],
    cache: RedisBalanceCache,
    tally: Tally,
) -> Shadow | None:
    if not (settings.shadow_verify and settings.enable_balance_cache):
        return None
    url = settings.shadow_redis_url
    return Shadow(
        {chain_id: Comparer(chain_id, cache, node) for chain_id, node in nodes.items()},
        tally,
        None if url is None else ForeignBalances(url.get_secret_value()),
        settings.audit_grace_seconds,
    )


def _limits(settings: Settings) -> BudgetLimits:
    return BudgetLimits(
        calls_per_second=settings.node_calls_per_second,
        burst=settings.node_calls_burst,
        under_way=settings.node_calls_under_way,
    )


def _budget(settings: Settings, shared: CallBudget, measures: Measures) -> CallBudget:
    share = _limits(settings).share(settings.node_calls_local_share)
    return SharedOrLocalBudget(shared, LocalCallBudget(share), measures)


def _node(
    settings: Settings, network: Network, budget: CallBudget, measures: Measures
) -> NodeProvider:
    return NodeProvider(
        network,
        timeout_seconds=settings.node_timeout_seconds,
        concurrency=settings.node_concurrency,
        budget=budget,
        hedge_quantile=settings.node_hedge_quantile,
        http2=settings.node_http2,
        measures=measures,
    )
