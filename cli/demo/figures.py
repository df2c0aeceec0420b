"""The figures that a run of the demo measures. Nothing here has a default: all is measured."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Before:
    """The dashboard without cache: node calls one after another."""

    seconds: float
    node_calls: int


@dataclass(frozen=True, slots=True)
class Warmup:
    """A login: from the enqueued task until every predicate is warm on every network.

    ``node_requests`` are the requests for balances that all nodes got meanwhile.
    """

    seconds: float
    predicates: int
    node_requests: int


@dataclass(frozen=True, slots=True)
class After:
    """The same dashboard with the cache warm."""

    seconds: float
    node_calls: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """A confirmed transaction between two vaults.

    Attributes:
        seconds_until_right: from the confirmation until both vaults read right.
        stale_reads: reads that were sent after the invalidation had happened and were
            answered as fresh with the balances from before. The law says 0.
    """

    seconds_until_right: float
    stale_reads: int


@dataclass(frozen=True, slots=True)
class Refresh:
    """Predicates that beat had refreshed while nobody asked for them."""

    refreshed: int


@dataclass(frozen=True, slots=True)
class Figures:
    """All that the demo measured."""

    before: Before
    warmup: Warmup
    after: After
    transaction: Transaction
    refresh: Refresh

    def as_json(self) -> str:
        """Return one line of JSON; seconds are rounded to milliseconds."""
        return json.dumps(_rounded(asdict(self)))


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return round(value, 3) if isinstance(value, float) else value
