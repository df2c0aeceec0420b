"""What can go wrong with a system of several programs."""

from __future__ import annotations

from domain.errors import BalanceCacheError


class BrokenSystemError(BalanceCacheError):
    """The system that `demo` or `up` runs does not do what it promises; exit code 1."""


class ChildEndedError(BrokenSystemError):
    """A program that the system consists of has ended, or did not become ready."""


class StepFailedError(BrokenSystemError):
    """A step of the demo did not hold."""
