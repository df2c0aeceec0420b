"""Compares what the cache calls fresh with what the chain says, at the same height or later.

A node tells nothing about the past. So: look at the cache, ask the node for at least the height of
what was found there, look at the cache again. Whoever still has the same fresh snapshot although
the node says something else is suspected. A change that is on its way (a block that the follower
has not read yet) looks the same for a moment: only whoever is suspected for longer is wrong.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.errors import ProviderError
from domain.ports import BalanceCache, BalanceProvider
from domain.values import Address, Balance, ChainId, Fresh, Lane, Snapshot, StoredSnapshot

LOOK_SECONDS = 0.25
"""How often it is looked whether a suspicion is over."""

_SHOWN_ASSETS = 5


class Difference(StrEnum):
    """How a fresh snapshot differs from what the node says."""

    CONTRADICTED = "contradicted"  # at one and the same height: it never was true
    OUTDATED = "outdated"  # at a later height: it is no longer true, and nobody told


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A snapshot that is called fresh, and what the node says instead."""

    stored: StoredSnapshot
    told: Snapshot

    @property
    def difference(self) -> Difference:
        """Return how they differ; the same height only where both sides name exactly one."""
        cached = self.stored.snapshot
        heights = {
            cached.height,
            cached.height_upper,
            self.told.height,
            self.told.height_upper,
        }
        return Difference.CONTRADICTED if len(heights) == 1 else Difference.OUTDATED

    def described(self) -> dict[str, object]:
        """Return both sides for a log line."""
        cached = self.stored.snapshot
        return {
            "address": cached.address,
            "chain_id": cached.chain_id,
            "difference": self.difference.value,
            "foreign": self.stored.foreign,
            "cached_height": [cached.height, cached.height_upper],
            "node_height": [self.told.height, self.told.height_upper],
            **sides(cached=cached.balances, node=self.told.balances),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out of one comparison.

    Attributes:
        agreed: the node says the same.
        suspected: the node says something else.
        unknown: nothing fresh is cached, it changed meanwhile, or the node gave no evidence.
    """

    agreed: tuple[Address, ...]
    suspected: Mapping[Address, Suspicion]
    unknown: tuple[Address, ...]


class Comparer:
    """Compares one chain's snapshots; changes nothing."""

    def __init__(self, chain_id: ChainId, cache: BalanceCache, provider: BalanceProvider) -> None:
        self._chain_id = chain_id
        self._cache = cache
        self._provider = provider

    async def compare(self, addresses: Sequence[Address]) -> Comparison:
        """Compare those of these predicates that are fresh, in as few node requests as possible.

        Uses the lowest lane of the budget: whatever else wants the node goes first.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        before = await self._fresh(addresses)
        if not before:
            return Comparison((), {}, tuple(addresses))
        height = max(_upper(stored) for stored in before.values())
        told = await self._provider.fetch_many(
            list(before), required_height=height, lane=Lane.AUDIT
        )
        after = await self._fresh(before)
        agreed: list[Address] = []
        suspected: dict[Address, Suspicion] = {}
        for address, stored in before.items():
            answer = told[address]
            if isinstance(answer, ProviderError) or not _same(after.get(address), stored):
                continue
            if same_balances(answer.balances, stored.snapshot.balances):
                agreed.append(address)
            elif answer.height >= max(_upper(stored), 1):
                suspected[address] = Suspicion(stored, answer)
        decided = {*agreed, *suspected}
        unknown = tuple(address for address in addresses if address not in decided)
        return Comparison(tuple(agreed), suspected, unknown)

    async def standing(self, suspected: Mapping[Address, Suspicion]) -> Mapping[Address, Suspicion]:
        """Return the suspicions whose snapshot is still there and still called fresh.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        now = await self._fresh(suspected)
        return {
            address: suspicion
            for address, suspicion in suspected.items()
            if _same(now.get(address), suspicion.stored)
        }

    async def outlasting(
        self, suspected: Mapping[Address, Suspicion], grace_seconds: float
    ) -> tuple[Mapping[Address, Suspicion], Sequence[float]]:
        """Return the suspicions that outlast the grace, and after what seconds the others ended.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        begun_at = time.monotonic()
        standing, ended = dict(suspected), list[float]()
        while standing and time.monotonic() - begun_at < grace_seconds:
            await asyncio.sleep(min(LOOK_SECONDS, grace_seconds))
            left = await self.standing(standing)
            ended += [time.monotonic() - begun_at] * (len(standing) - len(left))
            standing = dict(left)
        return standing, ended

    async def _fresh(self, addresses: Iterable[Address]) -> dict[Address, StoredSnapshot]:
        answers = await self._cache.read(self._chain_id, list(addresses), counted=False)
        return {a: answer.stored for a, answer in answers.items() if isinstance(answer, Fresh)}


def same_balances(some: Iterable[Balance], others: Iterable[Balance]) -> bool:
    """Tell whether two lists say the same; their order says nothing."""
    return {b.asset_id: b.amount for b in some} == {b.asset_id: b.amount for b in others}


def sides(**lists: Iterable[Balance]) -> dict[str, object]:
    """Return the assets of which named lists say different amounts, the first few of them."""
    amounts = {name: {b.asset_id: b.amount for b in found} for name, found in lists.items()}
    assets = {asset_id for known in amounts.values() for asset_id in known}
    differing = sorted(a for a in assets if len({k.get(a) for k in amounts.values()}) > 1)
    shown = differing[:_SHOWN_ASSETS]
    return {
        "differing_assets": len(differing),
        **{name: {a: known.get(a) for a in shown} for name, known in amounts.items()},
    }


def nines(samples: int, wrong: int) -> float | None:
    """Return how many nines of all samples were right: 3.0 is 99.9 %; None: too few to tell.

    While none was wrong, what is certain is that fewer than one in so many samples is.
    """
    return round(math.log10(samples / max(wrong, 1)), 2) if samples else None


def _upper(stored: StoredSnapshot) -> int:
    snapshot = stored.snapshot
    return snapshot.height if snapshot.height_upper is None else snapshot.height_upper


def _same(one: StoredSnapshot | None, other: StoredSnapshot) -> bool:
    """Tell whether it is one and the same publish, not another that says the same."""
    if one is None:
        return False
    return (one.version, one.timestamp_ms) == (other.version, other.timestamp_ms)
