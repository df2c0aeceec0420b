"""Who was told that a lease is his: one at a time, and only the truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from domain.values import ChainId


@dataclass
class Ledger:
    """Keeps what leases were given, prolonged and lost, chain by chain.

    Attributes:
        violations: what was wrong.
        prolonged: how many leases were, so that a check knows that it checked something.
    """

    violations: list[str]
    prolonged: int = 0
    _holders: dict[ChainId, str] = field(default_factory=dict)
    _given: defaultdict[ChainId, set[str]] = field(default_factory=lambda: defaultdict(set))
    _lost: set[str] = field(default_factory=set)
    _ending: int = 0

    def give(self, chain_id: ChainId, token: str) -> None:
        """Somebody was given the lease: nobody else may hold it."""
        if chain_id in self._holders and not self._ending:
            self.violations.append("a lease was given away that somebody holds")
        self._lost |= self._given[chain_id]
        self._given[chain_id].add(token)
        self._holders[chain_id] = token

    def prolong(self, chain_id: ChainId, token: str) -> None:
        """Somebody was told that the lease is still his: also if its time had been over."""
        self.prolonged += 1
        if token in self._lost:
            self.violations.append("a lease was prolonged that had been lost")
        else:
            self._holders[chain_id] = token

    def give_back(self, chain_id: ChainId, token: str) -> None:
        """Its holder needs it no more."""
        if self._holders.get(chain_id) == token:
            del self._holders[chain_id]

    @contextmanager
    def ending(self, lost: tuple[ChainId, ...] = ()) -> Iterator[None]:
        """While this lasts, leases end at a moment that nobody is told of.

        Those of the chains `lost` that had been given before are lost for good.
        """
        before = {token for chain_id in lost for token in self._given[chain_id]}
        self._ending += 1
        try:
            yield
            self._lost |= before
        finally:
            self._ending -= 1
            self._holders.clear()
