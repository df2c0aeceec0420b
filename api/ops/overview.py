"""What the operator's page shows, gathered once for all who look."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from cache.recent import Recent, RecentKind
from domain.errors import CacheUnavailableError
from provider.reports import NodeReport
from runtime.assembly import Runtime
from runtime.hottest import HotVault, hot_vaults
from runtime.scrape import Scraper

_Result = TypeVar("_Result")

EVERY_SECONDS = 2.0
_NODE_SECONDS = 10.0
_NODE_TIMEOUT_SECONDS = 3.0
_WINDOW_SECONDS = 300.0
_LOOKED_AT = 500
_ROWS = 8


class Overview:
    """Gathers at most once in two seconds, however many pages are open; asks nodes every ten."""

    def __init__(self, runtime: Runtime, scraper: Scraper) -> None:
        self._runtime = runtime
        self._scraper = scraper
        self._gathering = asyncio.Lock()
        self._last: Mapping[str, Any] | None = None
        self._last_at = float("-inf")
        self._reports: Mapping[int, Sequence[NodeReport]] = {}
        self._reports_at = float("-inf")
        self._counted: deque[tuple[float, Mapping[str, int]]] = deque()

    async def read(self) -> Mapping[str, Any]:
        """Return how everything is; what does not answer is None."""
        async with self._gathering:
            if self._last is None or time.monotonic() - self._last_at >= EVERY_SECONDS:
                self._last = await self._gather()
                self._last_at = time.monotonic()
            return self._last

    async def _gather(self) -> Mapping[str, Any]:
        shared, nodes, hot, counts, recent = await asyncio.gather(
            self._scraper.shared_state(),
            self._nodes(),
            _unless_away(self._hot),
            _unless_away(self._runtime.cache.counts),
            _unless_away(self._recent),
        )
        return {
            "at_ms": int(time.time() * 1000),
            "reads": None if counts is None else self._reads(counts),
            "freshness": None if hot is None else _freshness(hot),
            "stale": [asdict(one) for one in (hot or ()) if one.state != "fresh"][:_ROWS],
            "lanes": None if shared.broker is None else [asdict(x) for x in shared.broker.lanes],
            "nodes": nodes,
            "cache": None if shared.cache is None else asdict(shared.cache),
            "beat_expected": shared.beat_expected,
            "beat_silent_after": self._runtime.settings.beat_silent_seconds,
            **(recent or {kind.value: [] for kind in RecentKind}),
        }

    def _reads(self, counts: Mapping[str, int]) -> dict[str, float | int | None]:
        """Return the share of hits in the last minutes, and since the counters were reset."""
        now = time.monotonic()
        self._counted.append((now, counts))
        while self._counted[0][0] < now - _WINDOW_SECONDS:
            self._counted.popleft()
        _, before = self._counted[0]
        lately = {name: counts.get(name, 0) - before.get(name, 0) for name in _READS}
        if min(lately.values()) < 0:  # somebody has reset them
            self._counted.clear()
            lately = dict.fromkeys(_READS, 0)
        return {
            "lately": sum(lately.values()),
            "hit_rate_lately": _share(lately),
            "hit_rate": _share(counts),
            "published": counts.get("published", 0),
            "invalidations": counts.get("invalidations", 0),
            "warmups": counts.get("warmups", 0),
        }

    async def _nodes(self) -> list[dict[str, Any]]:
        if time.monotonic() - self._reports_at >= _NODE_SECONDS:
            self._reports = await self._runtime.node_reports(_NODE_TIMEOUT_SECONDS)
            self._reports_at = time.monotonic()
        networks = self._runtime.settings.fuel_networks
        return [
            {"network": n.name, "chain_id": n.chain_id, **asdict(report)}
            for n in networks
            for report in self._reports.get(n.chain_id, ())
        ]

    async def _hot(self) -> list[HotVault]:
        found = []
        for chain_id in self._runtime.settings.chain_ids:
            found += await hot_vaults(self._runtime, chain_id, _LOOKED_AT)
        return sorted(found, key=lambda vault: -vault.reads)

    async def _recent(self) -> dict[str, list[dict[str, Any]]]:
        lists: dict[str, list[Recent]] = {
            kind.value: await self._runtime.recent.latest(kind, 200 if kind is _SLOW else _ROWS)
            for kind in RecentKind
        }
        lists["slow"].sort(key=lambda one: -(one.seconds or 0))
        return {name: [asdict(one) for one in found[:_ROWS]] for name, found in lists.items()}


_SLOW = RecentKind.SLOW
_READS = ("hits", "stale", "misses")


def _share(counts: Mapping[str, int]) -> float | None:
    read = sum(counts.get(name, 0) for name in _READS)
    return counts.get("hits", 0) / read if read else None


def _freshness(hot: Sequence[HotVault]) -> dict[str, Any]:
    states = Counter(vault.state.partition(":")[0] for vault in hot)
    ages = [vault.age_seconds for vault in hot if vault.age_seconds is not None]
    return {
        "looked_at": len(hot),
        **{state: states[state] for state in ("fresh", "stale", "missing")},
        "oldest_seconds": max(ages, default=None),
    }


async def _unless_away(ask: Callable[[], Awaitable[_Result]]) -> _Result | None:
    try:
        return await ask()
    except CacheUnavailableError:
        return None
