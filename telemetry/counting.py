"""What this process counts, by prometheus_client."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from domain.measures import NodeOutcome
from domain.ports import PublishOutcome
from domain.values import BlockHeight, ChainId, Lane
from telemetry import names
from telemetry.names import PREFIX, Described
from telemetry.reads import ReadTally


class ProcessMeasures(ReadTally):
    """Implements `domain.measures.Measures`, and counts what tasks and requests do."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self.registry = registry
        registry.register(self)
        self._publishes = _counter(names.PUBLISHES, registry)
        self._invalidations = _counter(names.INVALIDATIONS, registry)
        self._cache_errors = _counter(names.CACHE_ERRORS, registry)
        self._cache_resting = _gauge(names.CACHE_RESTING, registry, "livemax")
        self._node_requests = _counter(names.NODE_REQUESTS, registry)
        self._node_seconds = _histogram(names.NODE_SECONDS, registry)
        self._budget_wait = _histogram(names.BUDGET_WAIT, registry)
        self._budget_refusals = _counter(names.BUDGET_REFUSALS, registry)
        self._breaker_open = _gauge(names.BREAKER_OPEN, registry, "livemax")
        self._node_height = _gauge(names.NODE_HEIGHT, registry, "livemax")
        self._warm_ups = _counter(names.WARM_UPS, registry)
        self._warm_up_predicates = _counter(names.WARM_UP_PREDICATES, registry)
        self._warm_up_seconds = _histogram(names.WARM_UP_SECONDS, registry)
        self._audited = _counter(names.AUDITED, registry)
        self._violations = _counter(names.VIOLATIONS, registry)
        self._tasks = _counter(names.TASKS, registry)
        self._task_seconds = _histogram(names.TASK_SECONDS, registry)
        self._queue_wait = _histogram(names.QUEUE_WAIT, registry)
        self._api_seconds = _histogram(names.API_SECONDS, registry)
        self._idle_seconds = _gauge(names.IDLE_SECONDS, registry, "livemax")

    def published(self, chain_id: ChainId, outcome: PublishOutcome) -> None:
        """One snapshot was offered to the cache."""
        self._publishes.labels(chain_id, outcome.value).inc()

    def invalidated(self, chain_id: ChainId | None, predicates: int) -> None:
        """Predicates were declared wrong."""
        self._invalidations.labels("all" if chain_id is None else chain_id).inc(predicates)

    def cache_failed(self, kind: str) -> None:
        """The cache did not answer, or held what nobody can read."""
        self._cache_errors.labels(kind).inc()

    def cache_rests(self, *, is_resting: bool) -> None:
        """Redis is not asked after a timeout, or has answered again."""
        self._cache_resting.set(int(is_resting))

    def asked_node(
        self, chain_id: ChainId, node: str, lane: Lane | None, outcome: NodeOutcome, seconds: float
    ) -> None:
        """One request to a node came to its end."""
        asked_by = "probe" if lane is None else lane.value
        self._node_requests.labels(chain_id, node, asked_by, outcome.value).inc()
        self._node_seconds.labels(chain_id, node).observe(seconds)

    def waited_for_budget(
        self, chain_id: ChainId, lane: Lane, seconds: float, *, granted: bool
    ) -> None:
        """A call waited for its place in the budget."""
        self._budget_wait.labels(chain_id, lane.value).observe(seconds)
        if not granted:
            self._budget_refusals.labels(chain_id, lane.value).inc()

    def breaker(self, chain_id: ChainId, node: str, *, is_open: bool) -> None:
        """A node rests after failures, or is asked again."""
        self._breaker_open.labels(chain_id, node).set(int(is_open))

    def node_height(self, chain_id: ChainId, node: str, height: BlockHeight) -> None:
        """A node named its newest block."""
        self._node_height.labels(chain_id, node).set(height)

    def warm_ups_planned(self, logins: int) -> None:
        """The warm-ups of so many logins were planned."""
        self._warm_ups.inc(logins)

    def warmed(self, chain_id: ChainId, predicates: Mapping[str, int], seconds: float) -> None:
        """A part of a warm-up ended."""
        for outcome, count in predicates.items():
            self._warm_up_predicates.labels(chain_id, outcome).inc(count)
        self._warm_up_seconds.labels(chain_id).observe(seconds)

    def audited(
        self, chain_id: ChainId, *, agreed: int, late: int, violations: Mapping[str, int]
    ) -> None:
        """An audit compared with the chain; noughts are told too, so that a rise is seen."""
        self._audited.labels(chain_id, "agreed").inc(agreed)
        self._audited.labels(chain_id, "late").inc(late)
        for kind, count in violations.items():
            self._violations.labels(chain_id, kind).inc(count)

    def task(self, name: str, state: str) -> None:
        """A task came into a state."""
        self._tasks.labels(name, state).inc()

    def task_ran(self, name: str, seconds: float) -> None:
        """A task ran for so long."""
        self._task_seconds.labels(name).observe(seconds)

    def message_waited(self, lane: str, seconds: float) -> None:
        """A message was so long on its way."""
        self._queue_wait.labels(lane).observe(seconds)

    def request_served(self, route: str, status: str, seconds: float) -> None:
        """The API served a request."""
        self._api_seconds.labels(route, status).observe(seconds)

    def starving(self, seconds: float) -> None:
        """This worker has got nothing for so long although there is something."""
        self._idle_seconds.set(seconds)


def _counter(described: Described, registry: CollectorRegistry) -> Counter:
    return Counter(PREFIX + described.name, described.meaning, described.labels, registry=registry)


def _gauge(described: Described, registry: CollectorRegistry, mode: str) -> Gauge:
    return Gauge(
        PREFIX + described.name,
        described.meaning,
        described.labels,
        registry=registry,
        multiprocess_mode=mode,  # type: ignore[arg-type]  # one of the library's words
    )


def _histogram(described: Described, registry: CollectorRegistry) -> Histogram:
    return Histogram(
        PREFIX + described.name,
        described.meaning,
        described.labels,
        registry=registry,
        buckets=tuple(described.buckets),
    )
