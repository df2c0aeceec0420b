"""Which node of a network is asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from domain.errors import NodeUnreachableError
from provider.endpoint import Endpoint

LAG_TOLERANCE = 2
"""Blocks that a node may be behind the best one and still count as equally fresh."""


class EndpointPool:
    """The nodes of a network, in the operator's order of preference."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.endpoints = tuple(endpoints)

    def choose(self, tried: Collection[Endpoint] = ()) -> Endpoint:
        """Return the node to ask next: healthy, not tried yet, indexed, fresh, preferred.

        Raises:
            NodeUnreachableError: every node rests after failures.
        """
        ready = self.ranked(tried)
        if not ready:
            names = ", ".join(endpoint.public_url for endpoint in self.endpoints)
            raise NodeUnreachableError(f"after failures in a row no node is asked now: {names}")
        return ready[0]

    def ranked(self, tried: Collection[Endpoint] = ()) -> list[Endpoint]:
        """Return the nodes that may be asked, the best first."""
        highest = max((endpoint.height or 0) for endpoint in self.endpoints)
        ready = [endpoint for endpoint in self.endpoints if endpoint.breaker.ready]
        return sorted(ready, key=lambda endpoint: self._rank(endpoint, tried, highest))

    def has_untried(self, tried: Collection[Endpoint]) -> bool:
        """Tell whether a healthy node is left that was not tried."""
        return any(endpoint.breaker.ready and endpoint not in tried for endpoint in self.endpoints)

    def _rank(
        self, endpoint: Endpoint, tried: Collection[Endpoint], highest: int
    ) -> tuple[bool, bool, bool, int, int]:
        lag = 0 if endpoint.height is None else highest - endpoint.height
        return (
            endpoint in tried,
            endpoint.breaker.is_open,
            not endpoint.limits.indexation,
            lag if lag > LAG_TOLERANCE else 0,
            self.endpoints.index(endpoint),
        )
