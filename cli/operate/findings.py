"""What `doctor` finds: the state of one thing, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How bad it is."""

    GOOD = "good"
    DOUBTFUL = "doubtful"  # it works, and may not for long or not as well as it could
    WRONG = "wrong"  # something does not work; the exit code is 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One look at one thing.

    Attributes:
        name: what was looked at.
        status: how bad it is.
        told: what was seen.
        advice: what to do; empty where nothing is to be done.
    """

    name: str
    status: Status
    told: str
    advice: str = ""


def good(name: str, told: str) -> Finding:
    """Return that all is well."""
    return Finding(name, Status.GOOD, told)


def doubtful(name: str, told: str, advice: str) -> Finding:
    """Return that it could be better."""
    return Finding(name, Status.DOUBTFUL, told, advice)


def wrong(name: str, told: str, advice: str) -> Finding:
    """Return that something does not work."""
    return Finding(name, Status.WRONG, told, advice)


def has_wrong(findings: Sequence[Finding]) -> bool:
    """Tell whether something does not work."""
    return any(finding.status is Status.WRONG for finding in findings)
