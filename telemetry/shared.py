"""What all processes share, looked up at a scrape: cache, broker, lanes, beat, followers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.lanes import BrokerState
from domain.vitals import CacheVitals
from telemetry import names
from telemetry.names import PREFIX, Described


@dataclass(frozen=True, slots=True, eq=False)
class SharedState(Collector):
    """What a scrape found. None: it did not answer.

    Attributes:
        cache: what Redis told.
        broker: what the broker told.
        beat_expected: False where the cache is switched off, and beat has nothing to do.
    """

    cache: CacheVitals | None
    broker: BrokerState | None
    beat_expected: bool = True

    def collect(self) -> Iterator[Metric]:
        """Return the metrics."""
        yield _gauge(names.CACHE_UP, {(): int(self.cache is not None)})
        yield _gauge(names.BROKER_UP, {(): int(self.broker is not None)})
        if self.cache is not None:
            yield from self._of_cache(self.cache)
        if self.broker is not None:
            yield from _of_lanes(self.broker)
        yield from self._memory()

    def _of_cache(self, cache: CacheVitals) -> Iterator[Metric]:
        yield _gauge(names.HOT, {(str(chain),): count for chain, count in cache.hot.items()})
        followers = {(str(chain),): one for chain, one in cache.followers.items()}
        yield _gauge(names.FOLLOWER_HEIGHT, {k: one.height for k, one in followers.items()})
        yield _gauge(names.FOLLOWER_LAG, {k: one.lag for k, one in followers.items()})
        yield _gauge(names.FOLLOWER_SILENT, {k: one.silent_seconds for k, one in followers.items()})
        if self.beat_expected:
            silence = cache.beat_silent_seconds
            yield _gauge(names.BEAT_SILENT, {(): math.inf if silence is None else silence})
        yield _gauge(names.DEAD_LETTERS, {(): cache.dead_letters})

    def _memory(self) -> Iterator[Metric]:
        servers = {("cache",): self.cache, ("broker",): self.broker}
        yield _gauge(
            names.REDIS_USED,
            {k: None if one is None else one.memory_used for k, one in servers.items()},
        )
        yield _gauge(
            names.REDIS_MOST,
            {k: None if one is None else one.memory_most for k, one in servers.items()},
        )


def _of_lanes(broker: BrokerState) -> Iterator[Metric]:
    lanes = {(lane.lane,): lane for lane in broker.lanes}
    yield _gauge(names.LANE_READY, {k: lane.ready for k, lane in lanes.items()})
    yield _gauge(names.LANE_UNACKED, {k: lane.unacked for k, lane in lanes.items()})
    yield _gauge(names.LANE_DELAYED, {k: lane.delayed for k, lane in lanes.items()})
    yield _gauge(names.LANE_OLDEST, {k: lane.oldest_seconds for k, lane in lanes.items()})


def _gauge(
    described: Described, known: Mapping[tuple[str, ...], float | None]
) -> GaugeMetricFamily:
    """Return a gauge of what is known; what is not is left out."""
    family = GaugeMetricFamily(PREFIX + described.name, described.meaning, labels=described.labels)
    for labels, value in known.items():
        if value is not None:
            family.add_metric(labels, value)
    return family
