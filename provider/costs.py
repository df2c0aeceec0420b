"""What a request costs, as a Fuel node counts it, and how much fits into one.

The rules are those of fuel-core (formula unchanged from 0.41 to 0.47): with balances indexation a
`balances` field costs its children's cost times the page size times 0.66, in 32-bit floats;
without indexation it costs a flat 40001, so that one fits under the default limit of 80000.
"""

from __future__ import annotations

import struct
from functools import lru_cache

COMPLEXITY_LIMIT = 80_000
"""`--graphql-max-complexity` of an unconfigured node."""

MARGIN = 0.01
"""The part of a node's limit that stays unused: gateways add fields of their own."""

OWNERS_PER_REQUEST = 200
"""The most vaults in one request, however much a node would allow."""

PAGE_SIZE = 100
"""Assets asked for at first: nearly every vault fits, and 200 vaults fit into one request."""

SELECTION_COST = 6
"""nodes (1) with assetId and amountU128 (2), pageInfo (1) with hasNextPage and endCursor (2)."""


def _as_float32(number: float) -> float:
    rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    return rounded


@lru_cache(maxsize=1024)
def page_cost(first: int) -> int:
    """Return the cost of one `balances` field with a page of `first` assets, indexation on."""
    product = _as_float32(float(SELECTION_COST) * first)
    return int(_as_float32(product * _as_float32(0.66)))


def usable(limit: int) -> int:
    """Return the part of a node's limit that we plan with."""
    return max(1, int(limit * (1 - MARGIN)))


@lru_cache(maxsize=1024)
def widest_page(limit: int) -> int:
    """Return the largest page that one vault alone may ask for under this limit."""
    first = int((usable(limit) + 1) / (SELECTION_COST * 0.66)) + 1
    while first > 1 and page_cost(first) > usable(limit):
        first -= 1
    return max(1, first)
