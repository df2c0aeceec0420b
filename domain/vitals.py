"""How the cache is at one moment: what operators look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.values import BlockHeight, ChainId


@dataclass(frozen=True, slots=True)
class FollowerVitals:
    """How the follower of a chain stands.

    Attributes:
        height: how far it has come; None: it has not begun.
        lag: blocks that it is behind its node.
        silent_seconds: since when it has taken no step.
    """

    height: BlockHeight | None
    lag: int | None
    silent_seconds: float | None


@dataclass(frozen=True, slots=True)
class CacheVitals:
    """The cache at one moment.

    Attributes:
        hot: predicates in the hot set of each chain.
        followers: how each chain is followed.
        beat_silent_seconds: None: not heard of in the last day.
        dead_letters: how many there are.
        memory_used: bytes; None: not known (a cluster).
        memory_most: bytes; 0: no limit.
    """

    hot: Mapping[ChainId, int] = field(default_factory=dict)
    followers: Mapping[ChainId, FollowerVitals] = field(default_factory=dict)
    beat_silent_seconds: float | None = None
    dead_letters: int = 0
    memory_used: int | None = None
    memory_most: int | None = None
