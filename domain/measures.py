"""What is measured, as a protocol: the parts tell what happens, and know nothing of who counts.

Every method is called on hot paths: it must be cheap and must not raise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Protocol

from domain.errors import (
    MalformedAnswerError,
    NodeBehindError,
    NodeOverloadedError,
    NodeUnreachableError,
    QueryRefusedError,
    QueryTooComplexError,
    WrongChainError,
)
from domain.ports import PublishOutcome, Served
from domain.values import BlockHeight, ChainId, Lane


class NodeOutcome(StrEnum):
    """What became of one request to a node."""

    ANSWERED = "answered"
    UNREACHABLE = "unreachable"
    OVERLOADED = "overloaded"
    BEHIND = "behind"
    MALFORMED = "malformed"
    TOO_COMPLEX = "too_complex"
    REFUSED = "refused"
    WRONG_CHAIN = "wrong_chain"
    CANCELLED = "cancelled"
    BROKE = "broke"


_OUTCOMES: tuple[tuple[type[BaseException], NodeOutcome], ...] = (
    (NodeUnreachableError, NodeOutcome.UNREACHABLE),
    (NodeOverloadedError, NodeOutcome.OVERLOADED),
    (NodeBehindError, NodeOutcome.BEHIND),
    (MalformedAnswerError, NodeOutcome.MALFORMED),
    (QueryTooComplexError, NodeOutcome.TOO_COMPLEX),
    (QueryRefusedError, NodeOutcome.REFUSED),
    (WrongChainError, NodeOutcome.WRONG_CHAIN),
)


def node_outcome(error: BaseException | None) -> NodeOutcome:
    """Return the outcome that an error stands for; None is an answer."""
    if error is None:
        return NodeOutcome.ANSWERED
    for kind, outcome in _OUTCOMES:
        if isinstance(error, kind):
            return outcome
    # Whoever waited has gone (a deadline, a hedge that lost); all else is a bug of ours.
    return NodeOutcome.BROKE if isinstance(error, Exception) else NodeOutcome.CANCELLED


class Measures(Protocol):
    """Takes note of what happens."""

    def looked(
        self, chain_id: ChainId, *, hits: int, expired: int, invalidated: int, misses: int
    ) -> None:
        """Readers looked into the cache: what they met before anything was fetched for them.

        Expired and invalidated are the two ways of being stale.
        """
        ...

    def served(self, chain_id: ChainId, served: Iterable[Served], times: int = 1) -> None:
        """Readers were answered so many times, after whatever was fetched for them."""
        ...

    def published(self, chain_id: ChainId, outcome: PublishOutcome) -> None:
        """One snapshot was offered to the cache: stored, or refused and why."""
        ...

    def invalidated(self, chain_id: ChainId | None, predicates: int) -> None:
        """Predicates were declared wrong; None: on every chain."""
        ...

    def cache_failed(self, kind: str) -> None:
        """The cache did not answer (``unavailable``) or held nonsense (``poisoned``)."""
        ...

    def cache_rests(self, *, is_resting: bool) -> None:
        """Redis is not asked after a timeout, or has answered again."""
        ...

    def asked_node(
        self, chain_id: ChainId, node: str, lane: Lane | None, outcome: NodeOutcome, seconds: float
    ) -> None:
        """One request to a node came to its end; the waiting for the budget is not in it.

        No lane: it only asked the node who it is.
        """
        ...

    def waited_for_budget(
        self, chain_id: ChainId, lane: Lane, seconds: float, *, granted: bool
    ) -> None:
        """A call waited for its place in the budget, and got it or not."""
        ...

    def breaker(self, chain_id: ChainId, node: str, *, is_open: bool) -> None:
        """A node rests after failures, or is asked again."""
        ...

    def node_height(self, chain_id: ChainId, node: str, height: BlockHeight) -> None:
        """A node named its newest block."""
        ...

    def warm_ups_planned(self, logins: int) -> None:
        """The warm-ups of so many logins were planned."""
        ...

    def warmed(self, chain_id: ChainId, predicates: Mapping[str, int], seconds: float) -> None:
        """A part of a warm-up ended: how many predicates by outcome, and how long it took."""
        ...

    def audited(
        self, chain_id: ChainId, *, agreed: int, late: int, violations: Mapping[str, int]
    ) -> None:
        """An audit compared with the chain.

        What it agrees with, what we came to know within the grace, and by kind what was wrong and
        called fresh for longer.
        """
        ...


class NoMeasures:
    """Takes note of nothing: for tests and programs that nobody watches."""

    def looked(
        self, chain_id: ChainId, *, hits: int, expired: int, invalidated: int, misses: int
    ) -> None:
        """Do nothing."""

    def served(self, chain_id: ChainId, served: Iterable[Served], times: int = 1) -> None:
        """Do nothing."""

    def published(self, chain_id: ChainId, outcome: PublishOutcome) -> None:
        """Do nothing."""

    def invalidated(self, chain_id: ChainId | None, predicates: int) -> None:
        """Do nothing."""

    def cache_failed(self, kind: str) -> None:
        """Do nothing."""

    def cache_rests(self, *, is_resting: bool) -> None:
        """Do nothing."""

    def asked_node(
        self, chain_id: ChainId, node: str, lane: Lane | None, outcome: NodeOutcome, seconds: float
    ) -> None:
        """Do nothing."""

    def waited_for_budget(
        self, chain_id: ChainId, lane: Lane, seconds: float, *, granted: bool
    ) -> None:
        """Do nothing."""

    def breaker(self, chain_id: ChainId, node: str, *, is_open: bool) -> None:
        """Do nothing."""

    def node_height(self, chain_id: ChainId, node: str, height: BlockHeight) -> None:
        """Do nothing."""

    def warm_ups_planned(self, logins: int) -> None:
        """Do nothing."""

    def warmed(self, chain_id: ChainId, predicates: Mapping[str, int], seconds: float) -> None:
        """Do nothing."""

    def audited(
        self, chain_id: ChainId, *, agreed: int, late: int, violations: Mapping[str, int]
    ) -> None:
        """Do nothing."""
