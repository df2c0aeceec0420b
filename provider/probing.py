"""Keeping an eye on nodes that are not asked, so that their health and lag are known in time.

Nothing is sent while nobody asks anything, and nothing where a network has one node.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from domain.errors import ProviderError
from provider.endpoint import Endpoint
from provider.heights import HeightFloor
from provider.pool import EndpointPool

_log = structlog.get_logger(__name__)

PROBE_SECONDS = 15.0
"""How old the news of a node may be."""

_TIMEOUT_SECONDS = 5.0


class Prober:
    """Asks silent nodes who they are and how high they stand."""

    def __init__(self, pool: EndpointPool, floor: HeightFloor) -> None:
        self._pool = pool
        self._floor = floor
        self._probes: dict[Endpoint, asyncio.Task[None]] = {}

    def look(self) -> None:
        """Start a probe of each node that was not heard of lately; waits for nothing."""
        if len(self._pool.endpoints) == 1:
            return
        oldest = time.monotonic() - PROBE_SECONDS
        for endpoint in self._pool.endpoints:
            silent = endpoint.heard_at < oldest and endpoint.breaker.ready
            if silent and endpoint not in self._probes:
                self._probes[endpoint] = asyncio.ensure_future(self._probe(endpoint))

    async def _probe(self, endpoint: Endpoint) -> None:
        try:
            endpoint.breaker.begin()
            await endpoint.verify(_TIMEOUT_SECONDS, anew=True)
            endpoint.answered()
            self._floor.saw(endpoint.height)
        except ProviderError as error:
            _log.warning("node_probe_failed", node=endpoint.public_url, error=str(error))
            endpoint.failed(error)
        finally:
            del self._probes[endpoint]

    async def close(self) -> None:
        """End what is under way."""
        probes = tuple(self._probes.values())
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
