"""One audit of one chain, as plain functions over collaborators. Knows no Celery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from domain.ports import BalanceCache, BalanceReader
from domain.values import Address, Lane
from provider.comparing import Comparer, Difference, Suspicion

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
    standing, ended = await comparer.outlasting(comparison.suspected, grace_seconds)
    await _heal(standing, cache, reader)
    return AuditReport(
        agreed=len(comparison.agreed),
        late=len(ended),
        violations=standing,
        unknown=len(comparison.unknown),
        seconds_to_consistent=ended,
    )


async def _heal(
    violations: Mapping[Address, Suspicion], cache: BalanceCache, reader: BalanceReader
) -> None:
    for address, suspicion in violations.items():
        told = suspicion.told
        _log.error("audit.violation", **suspicion.described())
        await cache.invalidate([address], told.chain_id, told.height)
    if violations:
        height = max(suspicion.told.height for suspicion in violations.values())
        await reader.refill(list(violations), lane=Lane.AUDIT, required_height=height)
