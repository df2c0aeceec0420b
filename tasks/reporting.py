"""One log line for what a task did, the same fields for each."""

from __future__ import annotations

import structlog

from tasks.operations import RefillReport

_log = structlog.get_logger("tasks")


def log_report(event: str, chain_id: int, report: RefillReport, **fields: object) -> None:
    """Log the counts of a refill; what was given up is an error and names the vaults."""
    _log.info(
        event,
        chain_id=chain_id,
        refilled=len(report.done),
        already=len(report.already),
        remaining=len(report.remaining),
        **fields,
    )
    if report.given_up:
        _log.error(
            f"{event}.given_up",
            chain_id=chain_id,
            addresses=list(report.given_up[:20]),
            count=len(report.given_up),
            reason=report.reason,
        )
