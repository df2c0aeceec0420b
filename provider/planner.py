"""Which vaults share a request.

A plan holds every page that was asked for exactly once, in order, and no request above the limits
of the node that it is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.values import Address
from provider.costs import COMPLEXITY_LIMIT, OWNERS_PER_REQUEST, PAGE_SIZE, page_cost, usable


@dataclass(frozen=True, slots=True)
class Page:
    """One page of one vault's balances: one alias of a request.

    Attributes:
        address: the vault.
        first: how many assets at most.
        after: the asset id after which the page begins; None: from the start.
    """

    address: Address
    first: int
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one node takes in one request.

    Attributes:
        complexity: the node's complexity limit as far as we know it.
        indexation: False: the node keeps no index of balances, one vault fills a request.
        owners: the most vaults in one request.
    """

    complexity: int = COMPLEXITY_LIMIT
    indexation: bool = True
    owners: int = OWNERS_PER_REQUEST

    def allow(self, pages: int, cost: int) -> bool:
        """Tell whether a request of so many pages of this total cost is within the limits."""
        if not self.indexation:
            return pages <= 1
        return pages <= self.owners and cost <= usable(self.complexity)

    def vaults(self) -> int:
        """Return how many vaults with a first page each one request holds; at least one."""
        if not self.indexation:
            return 1
        return max(1, min(self.owners, usable(self.complexity) // page_cost(PAGE_SIZE)))

    def shrunk(self, refused: Sequence[Page]) -> Limits:
        """Return the limits after a node called these pages too complex: half of their cost."""
        half = request_cost(refused) // 2
        return Limits(max(1, min(half, self.complexity)), self.indexation, self.owners)


def request_cost(pages: Sequence[Page]) -> int:
    """Return the cost of a request with these pages, indexation on."""
    return sum(page_cost(page.first) for page in pages)


def plan(pages: Sequence[Page], limits: Limits) -> list[tuple[Page, ...]]:
    """Pack pages into as few requests as their order allows.

    A page that is above the limits on its own gets a request of its own: the node decides.
    """
    requests: list[tuple[Page, ...]] = []
    current: list[Page] = []
    cost = 0
    for page in pages:
        price = page_cost(page.first)
        if current and not limits.allow(len(current) + 1, cost + price):
            requests.append(tuple(current))
            current, cost = [], 0
        current.append(page)
        cost += price
    if current:
        requests.append(tuple(current))
    return requests
