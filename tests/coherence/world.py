"""The truth: a chain whose every block changes the vault, and who has been told what.

What a read returns names the fetch that it came from and the height at which it is true, so
that the checker knows more than any cache does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.values import Balance, BlockHeight, ChainId, Snapshot
from tests.cache_support import URL, address, asset
from tests.coherence.ledger import Ledger

VAULT = address(0xFA17)


@dataclass(frozen=True)
class Content:
    """What was fetched: by which fetch, true at which height."""

    fetch: int
    height: BlockHeight


@dataclass(frozen=True)
class Invalidation:
    """A returned invalidation, or a clear.

    Attributes:
        ours: through our cache, not by a foreign writer.
        only: a clear took away this fetch; of others it says nothing.
    """

    chain_ids: tuple[ChainId, ...]
    height: BlockHeight | None
    started: int
    finished: int
    ours: bool = True
    only: int | None = None


@dataclass(frozen=True)
class Node:
    """How a node behaves.

    Attributes:
        lag: how many blocks it is behind.
        honours: it refuses what it has not reached (the required height).
        evidence: it tells heights; without, the lower bound is 0.
        slack: how far its bounds are from the truth.
    """

    lag: int = 0
    honours: bool = True
    evidence: bool = True
    slack: int = 0


@dataclass
class World:
    """Time in steps, the chain's tip, fetches and invalidations; collects violations."""

    now: int = 0
    tip: BlockHeight = 10
    fetched_at: list[int] = field(default_factory=list)
    foreign_fetches: set[int] = field(default_factory=set)
    invalidations: list[Invalidation] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    fresh_reads: int = 0
    copied_reads: int = 0
    published: int = 0
    highest_read: dict[ChainId, tuple[int, BlockHeight]] = field(default_factory=dict)
    heights_must_rise: bool = True
    leases: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.leases = Ledger(self.violations)

    def tick(self) -> None:
        self.now += 1

    def confirm(self) -> BlockHeight:
        """Put a transaction of the vault into a block."""
        self.tip += 1
        return self.tip

    def fetch(self, node: Node, required: BlockHeight = 0, *, foreign: bool = False) -> int | None:
        """Let a node answer; returns the fetch's number, None when it refuses."""
        height = self.tip - node.lag
        if node.honours and height < required:
            return None
        self.fetched_at.append(self.now)
        number = len(self.fetched_at) - 1
        if foreign:
            self.foreign_fetches.add(number)
        return number

    def snapshot(self, fetch: int, height: BlockHeight, node: Node, chain_id: ChainId) -> Snapshot:
        """Return what the node says of the vault."""
        balances = (Balance(asset(fetch), height),)
        if not node.evidence:
            return Snapshot(VAULT, chain_id, balances, network_url=URL)
        lower, upper = height - node.slack, height + node.slack
        return Snapshot(VAULT, chain_id, balances, lower, upper, URL)

    def forget_heights(self, chain_id: ChainId) -> None:
        """A clear forgets how high the chain was."""
        self.highest_read.pop(chain_id, None)

    def check_fresh(self, content: Content, chain_id: ChainId, read_started: int) -> None:
        """Check a fresh answer against the law."""
        self.fresh_reads += 1
        for invalidation in self.invalidations:
            self._check_against(invalidation, content, chain_id, read_started)
        at, height = self.highest_read.get(chain_id, (self.now, 0))
        if self.heights_must_rise and at < read_started and content.height < height:
            self.violations.append(f"height fell from {height} to {content.height}")
        if content.height >= height:
            self.highest_read[chain_id] = (self.now, content.height)

    def _check_against(
        self, invalidation: Invalidation, content: Content, chain_id: ChainId, read_started: int
    ) -> None:
        if chain_id not in invalidation.chain_ids or read_started <= invalidation.finished:
            return
        if not invalidation.ours and content.fetch in self.foreign_fetches:
            return  # a foreign writer's own race is not ours to win
        if invalidation.only is not None:
            if content.fetch == invalidation.only:
                self.violations.append(f"fresh though cleared at step {invalidation.finished}")
        elif invalidation.height is not None and content.height < invalidation.height:
            self.violations.append(
                f"fresh at height {content.height}, invalidated at {invalidation.height}"
            )
        elif self.fetched_at[content.fetch] < invalidation.started:
            self.violations.append(
                f"fresh from a fetch at step {self.fetched_at[content.fetch]}, "
                f"invalidated at step {invalidation.started}"
            )


def content_of(balances: tuple[Balance, ...]) -> Content:
    """Read off fetch and height from what `World.snapshot` wrote."""
    [balance] = balances
    return Content(int(balance.asset_id, 16) - int(asset(0), 16), balance.amount)
