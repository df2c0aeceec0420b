"""The names of all metrics, what they mean and their labels: the one list.

A label takes few values, all known beforehand: chain ids and nodes of the allow-list, lanes, tasks,
outcomes. Never an address, a user or a URL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "balance_cache_"


class Kind(StrEnum):
    """How a metric behaves."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Described:
    """One metric.

    Attributes:
        name: without the prefix; a counter's without ``_total``.
        kind: how it behaves.
        meaning: one sentence.
        labels: their names.
        buckets: of a histogram, seconds.
        shared: True: of something that all processes share, so that every target tells the
            same and the greatest is taken; False: what this target's processes did, so that
            those of all targets are added up.
    """

    name: str
    kind: Kind
    meaning: str
    labels: Sequence[str] = ()
    buckets: Sequence[float] = ()
    shared: bool = False

    @property
    def full_name(self) -> str:
        """The name in queries."""
        suffix = "_total" if self.kind is Kind.COUNTER else ""
        return f"{PREFIX}{self.name}{suffix}"


_AGES = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1_200, 3_600, 21_600, 86_400)
_WAITS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_WORK = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_REQUESTS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_COUNTER, _GAUGE, _HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

READS = Described(
    "reads",
    _COUNTER,
    "Predicates that readers looked for in the cache, by what they met before anything was "
    "fetched for them: hit, expired, invalidated (both stale) or miss.",
    ("chain_id", "outcome"),
)
SERVED = Described(
    "served",
    _COUNTER,
    "Predicates that readers were answered for: fresh, stale or missing; of stale ones why; and "
    "whether the cache or the node told.",
    ("chain_id", "answer", "reason", "source"),
)
SERVED_AGE = Described(
    "served_age_seconds",
    _HISTOGRAM,
    "Age of the balances that readers were given.",
    ("chain_id", "answer"),
    _AGES,
)
PUBLISHES = Described(
    "publishes",
    _COUNTER,
    "Snapshots offered to the cache, by outcome: published, or refused as lease_lost, "
    "flag_changed, below_minimum, older_than_stored, too_large.",
    ("chain_id", "outcome"),
)
INVALIDATIONS = Described(
    "invalidations",
    _COUNTER,
    "Predicates declared wrong; the chain id is all where every chain was meant.",
    ("chain_id",),
)
CACHE_ERRORS = Described(
    "cache_errors",
    _COUNTER,
    "Times that Redis did not answer (unavailable), and values that nobody can read (poisoned).",
    ("kind",),
)
CACHE_RESTING = Described(
    "cache_resting",
    _GAUGE,
    "1 while Redis takes commands and does not answer, so that it is tried once a second and "
    "readers are answered by the node, as a process of this target sees it.",
)
NODE_REQUESTS = Described(
    "node_requests",
    _COUNTER,
    "Requests to nodes by outcome and lane; the lane is probe where a node was only asked who it "
    "is.",
    ("chain_id", "node", "lane", "outcome"),
)
NODE_SECONDS = Described(
    "node_request_seconds",
    _HISTOGRAM,
    "How long requests to nodes took, without the waiting for the budget.",
    ("chain_id", "node"),
    _WORK,
)
BUDGET_WAIT = Described(
    "budget_wait_seconds",
    _HISTOGRAM,
    "How long calls waited for their place in the budget of node calls.",
    ("chain_id", "lane"),
    _WAITS,
)
BUDGET_REFUSALS = Described(
    "budget_refusals",
    _COUNTER,
    "Calls that got no place in the budget before their deadline.",
    ("chain_id", "lane"),
)
BREAKER_OPEN = Described(
    "node_breaker_open",
    _GAUGE,
    "1 while a node rests after failures in a row, as a process of this target sees it.",
    ("chain_id", "node"),
)
NODE_HEIGHT = Described(
    "node_height",
    _GAUGE,
    "The newest block that a node named.",
    ("chain_id", "node"),
)
WARM_UPS = Described("warmups", _COUNTER, "Warm-ups of logins that were planned.")
WARM_UP_PREDICATES = Described(
    "warmup_predicates",
    _COUNTER,
    "Predicates of warm-ups by outcome: refilled, already (fresh, or being fetched), remaining "
    "(failed, tried again), given_up (refused for good).",
    ("chain_id", "outcome"),
)
WARM_UP_SECONDS = Described(
    "warmup_seconds",
    _HISTOGRAM,
    "How long one part of a warm-up took: one node request's worth of predicates.",
    ("chain_id",),
    _WORK,
)
AUDITED = Described(
    "audited",
    _COUNTER,
    "Fresh balances that an audit compared with the chain and did not find wrong: agreed, or late "
    "(the cache came to know within the grace).",
    ("chain_id", "outcome"),
)
VIOLATIONS = Described(
    "coherence_violations",
    _COUNTER,
    "Wrong balances that were called fresh for longer than the grace, found by an audit: "
    "contradicted (at one height: it never was true; must stay 0) or outdated (nobody told us of a "
    "change).",
    ("chain_id", "kind"),
)
TASKS = Described(
    "tasks",
    _COUNTER,
    "Tasks by state: published, received, started, succeeded, failed, retried, rejected, "
    "revoked (expired).",
    ("task", "state"),
)
TASK_SECONDS = Described("task_seconds", _HISTOGRAM, "How long tasks ran.", ("task",), _WORK)
QUEUE_WAIT = Described(
    "queue_wait_seconds",
    _HISTOGRAM,
    "How long messages were on their way, from their publishing to the start of the work.",
    ("lane",),
    (*_WORK, 120.0, 600.0),
)
API_SECONDS = Described(
    "api_request_seconds",
    _HISTOGRAM,
    "How long the API took for a request, by route and class of status.",
    ("route", "status"),
    _REQUESTS,
)
IDLE_SECONDS = Described(
    "worker_starving_seconds",
    _GAUGE,
    "For how long this worker has taken no message and worked on none although its lanes have "
    "some; the watchdog restarts it at WATCHDOG_SECONDS.",
)

CACHE_UP = Described(
    "cache_up", _GAUGE, "1 when Redis (the cache) answered this scrape.", shared=True
)
BROKER_UP = Described("broker_up", _GAUGE, "1 when the broker answered this scrape.", shared=True)
LANE_READY = Described(
    "lane_ready",
    _GAUGE,
    "Messages that wait in a lane, on Redis with its priority sub-queues.",
    ("lane",),
    shared=True,
)
LANE_UNACKED = Described(
    "lane_unacked",
    _GAUGE,
    "Messages of a lane that a worker holds (worked on, or waiting for a retry). Redis alone.",
    ("lane",),
    shared=True,
)
LANE_DELAYED = Described(
    "lane_delayed",
    _GAUGE,
    "Messages of a lane that wait at the broker for their retry. RabbitMQ alone.",
    ("lane",),
    shared=True,
)
LANE_OLDEST = Described(
    "lane_oldest_seconds",
    _GAUGE,
    "Age of the message that waits longest in a lane. Redis alone, and only if its publisher "
    "stamped it.",
    ("lane",),
    shared=True,
)
HOT = Described("hot_predicates", _GAUGE, "Predicates in the hot set.", ("chain_id",), shared=True)
FOLLOWER_HEIGHT = Described(
    "follower_height",
    _GAUGE,
    "The block up to which the follower of the chain has read.",
    ("chain_id",),
    shared=True,
)
FOLLOWER_LAG = Described(
    "follower_lag_blocks",
    _GAUGE,
    "Blocks that the follower is behind the node that it reads.",
    ("chain_id",),
    shared=True,
)
FOLLOWER_SILENT = Described(
    "follower_silent_seconds",
    _GAUGE,
    "Since when the follower of the chain has taken no step.",
    ("chain_id",),
    shared=True,
)
BEAT_SILENT = Described(
    "beat_silent_seconds",
    _GAUGE,
    "Since when nothing of beat has arrived; +Inf: not in the last day.",
    shared=True,
)
DEAD_LETTERS = Described("dead_letters", _GAUGE, "Messages that nobody could work on.", shared=True)
REDIS_USED = Described(
    "redis_memory_used_bytes",
    _GAUGE,
    "Memory that a Redis uses: cache, or broker where that is one.",
    ("server",),
    shared=True,
)
REDIS_MOST = Described(
    "redis_memory_max_bytes",
    _GAUGE,
    "Memory that a Redis may use (maxmemory); 0: no limit is set.",
    ("server",),
    shared=True,
)

COUNTED = (
    READS,
    SERVED,
    SERVED_AGE,
    PUBLISHES,
    INVALIDATIONS,
    CACHE_ERRORS,
    CACHE_RESTING,
    NODE_REQUESTS,
    NODE_SECONDS,
    BUDGET_WAIT,
    BUDGET_REFUSALS,
    BREAKER_OPEN,
    NODE_HEIGHT,
    WARM_UPS,
    WARM_UP_PREDICATES,
    WARM_UP_SECONDS,
    AUDITED,
    VIOLATIONS,
    TASKS,
    TASK_SECONDS,
    QUEUE_WAIT,
    API_SECONDS,
    IDLE_SECONDS,
)
"""What the processes of a target did or see."""

SHARED = (
    CACHE_UP,
    BROKER_UP,
    LANE_READY,
    LANE_UNACKED,
    LANE_DELAYED,
    LANE_OLDEST,
    HOT,
    FOLLOWER_HEIGHT,
    FOLLOWER_LAG,
    FOLLOWER_SILENT,
    BEAT_SILENT,
    DEAD_LETTERS,
    REDIS_USED,
    REDIS_MOST,
)
"""What is looked up at each scrape."""

ALL = (*COUNTED, *SHARED)
