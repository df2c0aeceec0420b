"""Counts of the read path: plain numbers, turned into metrics when somebody asks.

A read of ten vaults costs some microseconds here; a library's counters and histograms, each with
its lock, cost several times as much. One event loop serves all reads of a process, so no lock is
needed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from domain.ports import Served
from domain.values import ChainId, Fresh, Stale
from telemetry.names import PREFIX, READS, SERVED, SERVED_AGE, Described

_BOUNDS_MS = tuple(1000 * bound for bound in SERVED_AGE.buckets)
_NO_REASON = "none"


class _Ages:
    """A histogram of ages, ms."""

    __slots__ = ("buckets", "total_ms")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_BOUNDS_MS) + 1)
        self.total_ms = 0

    def add(self, age_ms: int, times: int) -> None:
        self.buckets[bisect_left(_BOUNDS_MS, age_ms)] += times
        self.total_ms += age_ms * times


class ReadTally(Collector):
    """What readers met and what they were given."""

    def __init__(self) -> None:
        self._looks: Counter[tuple[ChainId, str]] = Counter()
        self._answers: Counter[tuple[ChainId, str, str, str]] = Counter()
        self._ages: dict[tuple[ChainId, str], _Ages] = {}

    def looked(
        self, chain_id: ChainId, *, hits: int, expired: int, invalidated: int, misses: int
    ) -> None:
        """See `domain.measures.Measures.looked`."""
        looks = self._looks
        if hits:
            looks[chain_id, "hit"] += hits
        if expired:
            looks[chain_id, "expired"] += expired
        if invalidated:
            looks[chain_id, "invalidated"] += invalidated
        if misses:
            looks[chain_id, "miss"] += misses

    def served(self, chain_id: ChainId, served: Iterable[Served], times: int = 1) -> None:
        """See `domain.measures.Measures.served`."""
        answers = self._answers
        for one in served:
            answer = one.answer
            if isinstance(answer, Fresh):
                kind, reason = "fresh", _NO_REASON
            elif isinstance(answer, Stale):
                kind, reason = "stale", answer.reason.value
            else:
                answers[chain_id, "missing", _NO_REASON, one.source.value] += times
                continue
            answers[chain_id, kind, reason, one.source.value] += times
            ages = self._ages.get((chain_id, kind))
            if ages is None:
                ages = self._ages[chain_id, kind] = _Ages()
            ages.add(answer.age_ms, times)

    def collect(self) -> Iterator[Metric]:
        """Return the metrics of this moment."""
        looks = _counter(READS)
        for (chain_id, outcome), count in list(self._looks.items()):
            looks.add_metric([str(chain_id), outcome], count)
        answers = _counter(SERVED)
        for (chain_id, *labels), count in list(self._answers.items()):
            answers.add_metric([str(chain_id), *labels], count)
        yield looks
        yield answers
        yield self._collect_ages()

    def _collect_ages(self) -> HistogramMetricFamily:
        family = HistogramMetricFamily(
            PREFIX + SERVED_AGE.name, SERVED_AGE.meaning, labels=SERVED_AGE.labels
        )
        bounds = [*map(floatToGoString, SERVED_AGE.buckets), "+Inf"]
        for (chain_id, kind), ages in list(self._ages.items()):
            below, pairs = 0, []
            for bound, count in zip(bounds, ages.buckets, strict=True):
                below += count
                pairs.append((bound, below))
            family.add_metric([str(chain_id), kind], pairs, ages.total_ms / 1000)
        return family


def _counter(described: Described) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + described.name, described.meaning, labels=described.labels)
