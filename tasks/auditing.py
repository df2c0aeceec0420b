"""One audit of one chain, as plain functions over collaborators. Knows no Celery."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from domain.ports import BalanceCache, BalanceReader
from domain.values import Address, Balance, Lane
from provider.comparing import Comparer, Difference, Suspicion

LOOK_SECONDS = 0.25
"""How often it is looked whether a suspicion is over."""

_SHOWN_ASSETS = 5
_log = structlog.get_logger("tasks")


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found.

    Attributes:
        agreed: the node says the same.
        late: the node said something else, and within the grace the cache came to know it.
        violations: called fresh and wrong for longer than the grace; healed by now, or stale.
        unknown: nothing to compare.
        seconds_to_consistent: how long each late one was wrong after it was found, at most.
    """

    agreed: int
    late: int
    violations: Mapping[Address, Suspicion]
    unknown: int
    seconds_to_consistent: Sequence[float] = ()

    def counts(self) -> dict[str, int]:
        """Return what operators count, by the counters' names."""
        return {
            "audit_samples": self.agreed + self.late + len(self.violations),
            "audit_late": self.late,
            "audit_late_ms": round(1000 * sum(self.seconds_to_consistent)),
            **{f"audit_{kind}": count for kind, count in self.violations_by_kind().items()},
        }

    def violations_by_kind(self) -> dict[str, int]:
        """Return how many violations there are of each kind, noughts included."""
        found = [suspicion.difference for suspicion in self.violations.values()]
        return {kind.value: found.count(kind) for kind in Difference}


async def audit(
    addresses: Sequence[Address],
    comparer: Comparer,
    cache: BalanceCache,
    reader: BalanceReader,
    *,
    grace_seconds: float,
) -> AuditReport:
    """Compare predicates with the node, and heal those that stay wrong.

    What heals is an invalidation at the height of the node's answer and a refill: the same that a
    transaction causes, so that an audit can do no harm to the law.

    Raises:
        CacheUnavailableError: Redis does not answer.
    """
    comparison = await comparer.compare(addresses)
    standing, ended = await _outlasted(comparer, comparison.suspected, grace_seconds)
    await _heal(standing, cache, reader)
    return AuditReport(
        agreed=len(comparison.agreed),
        late=len(ended),
        violations=standing,
        unknown=len(comparison.unknown),
        seconds_to_consistent=ended,
    )


async def _outlasted(
    comparer: Comparer, suspected: Mapping[Address, Suspicion], grace_seconds: float
) -> tuple[Mapping[Address, Suspicion], Sequence[float]]:
    """Return the suspicions that outlast the grace, and when the others ended."""
    begun_at = time.monotonic()
    standing, ended = dict(suspected), list[float]()
    while standing and time.monotonic() - begun_at < grace_seconds:
        await asyncio.sleep(min(LOOK_SECONDS, grace_seconds))
        left = await comparer.standing(standing)
        ended += [time.monotonic() - begun_at] * (len(standing) - len(left))
        standing = dict(left)
    return standing, ended


async def _heal(
    violations: Mapping[Address, Suspicion], cache: BalanceCache, reader: BalanceReader
) -> None:
    for address, suspicion in violations.items():
        cached, told = suspicion.stored.snapshot, suspicion.told
        _log.error(
            "audit.violation",
            address=address,
            chain_id=told.chain_id,
            difference=suspicion.difference.value,
            foreign=suspicion.stored.foreign,
            cached_height=[cached.height, cached.height_upper],
            node_height=[told.height, told.height_upper],
            **sides(cached.balances, told.balances),
        )
        await cache.invalidate([address], told.chain_id, told.height)
    if violations:
        height = max(suspicion.told.height for suspicion in violations.values())
        await reader.refill(list(violations), lane=Lane.AUDIT, required_height=height)


def sides(cached: Sequence[Balance], told: Sequence[Balance]) -> dict[str, object]:
    """Return the assets of which two lists say different amounts, the first few, for a log line."""
    ours = {b.asset_id: b.amount for b in cached}
    theirs = {b.asset_id: b.amount for b in told}
    differing = sorted(a for a in {*ours, *theirs} if ours.get(a) != theirs.get(a))
    return {
        "differing_assets": len(differing),
        "cached": {a: ours.get(a) for a in differing[:_SHOWN_ASSETS]},
        "node": {a: theirs.get(a) for a in differing[:_SHOWN_ASSETS]},
    }
