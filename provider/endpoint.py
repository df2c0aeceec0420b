"""One node: its connections, who it is, what it takes, how high it stands."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import structlog

from domain.errors import (
    NodeBehindError,
    NodeOverloadedError,
    NodeUnreachableError,
    ProviderError,
    WrongChainError,
)
from domain.measures import Measures, NoMeasures, node_outcome
from domain.networks import Network, without_credentials
from domain.values import BlockHeight, Lane
from provider.answers import Envelope, NodeProfile, open_envelope, read_profile
from provider.breaker import CircuitBreaker
from provider.planner import Limits, Page
from provider.queries import balances_body, profile_body
from provider.transport import NodeTransport

_HOPELESS_COMPLEXITY = 39
"""The cost of one vault with ten assets: a node that takes less is of no use."""

_LATENCIES_NEEDED = 20
"""Fewer say nothing about a quantile."""

_log = structlog.get_logger(__name__)


class Endpoint:
    """One node of a network.

    Attributes:
        public_url: its address without credentials.
        label: what metrics call it.
        limits: what it takes in one request, as far as we know.
        height: the last height that it named; None: none yet.
        profile: what it said about itself; None: not asked yet.
        breaker: whether it may be asked.
        heard_at: when it last answered (`time.monotonic`).
        latencies: how long its last answers took, seconds.
    """

    def __init__(
        self,
        url: str,
        network: Network,
        *,
        connections: int,
        http2: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
        measures: Measures | None = None,
    ) -> None:
        self._measures = measures or NoMeasures()
        self._network = network
        self._transport = NodeTransport(
            url, connections=connections, http2=http2, transport=transport
        )
        self.public_url = self._transport.public_url
        self.label = node_label(network, url)
        self.limits = Limits()
        self.height: BlockHeight | None = None
        self.profile: NodeProfile | None = None
        self.breaker = CircuitBreaker()
        self.heard_at = float("-inf")
        self.latencies: deque[float] = deque(maxlen=200)
        self._verification: asyncio.Task[NodeProfile] | None = None

    async def verify(self, timeout_seconds: float, *, anew: bool = False) -> NodeProfile:
        """Ask the node who it is, once, or `anew`: then the answer also shows that it lives.

        Those who need it at the same time share one question, and each waits for his own time:
        whoever knows the node already waits for nobody.

        Raises:
            WrongChainError: it serves another chain than configured.
            ProviderError: it does not answer properly.
        """
        if self.profile is not None and not anew:
            return self.profile
        if self._verification is None:
            self._verification = asyncio.ensure_future(self._ask_profile(timeout_seconds))
            self._verification.add_done_callback(self._verification_ended)
        verification = self._verification
        await asyncio.wait({verification}, timeout=timeout_seconds)
        if not verification.done() or verification.cancelled():
            raise self._too_slow(timeout_seconds)
        return verification.result()

    def _verification_ended(self, verification: asyncio.Task[NodeProfile]) -> None:
        self._verification = None
        if not verification.cancelled():
            verification.exception()  # taken note of, even if nobody waits any more

    async def _ask_profile(self, timeout_seconds: float) -> NodeProfile:
        with self._measured(None):
            document = await self._post(profile_body(), timeout_seconds)
            profile = read_profile(self._opened(document, 0).data)
        if profile.chain_id != self._network.chain_id:
            self.profile = None
            raise WrongChainError(self.public_url, self._network.chain_id, profile.chain_id)
        self.profile = profile
        self.limits = replace(self.limits, indexation=profile.indexation)
        return profile

    async def ask(
        self, pages: Sequence[Page], required_height: BlockHeight, seconds: float, lane: Lane
    ) -> Envelope:
        """Send one request for these pages; `lane` says for whom, to those who measure.

        Raises:
            ProviderError: there is no answer for any of them.
        """
        begun = time.monotonic()
        with self._measured(lane):
            document = await self._post(balances_body(pages, required_height), seconds)
            envelope = self._opened(document, required_height)
        self.latencies.append(time.monotonic() - begun)
        return envelope

    async def query(
        self, body: Mapping[str, Any], required_height: BlockHeight, seconds: float, lane: Lane
    ) -> Envelope:
        """Send any other request; `required_height` is what its body demands.

        Raises:
            ProviderError: there is no answer.
        """
        with self._measured(lane):
            return self._opened(await self._post(body, seconds), required_height)

    @contextmanager
    def _measured(self, lane: Lane | None) -> Iterator[None]:
        begun = time.monotonic()
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._measures.asked_node(
                self._network.chain_id,
                self.label,
                lane,
                node_outcome(error),
                time.monotonic() - begun,
            )

    def usual_seconds(self, quantile: float) -> float | None:
        """Return the latency that this part of the requests stays below; None: too few known."""
        if len(self.latencies) < _LATENCIES_NEEDED:
            return None
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]

    def _opened(self, document: object, required_height: BlockHeight) -> Envelope:
        try:
            envelope = open_envelope(document, required_height)
        except NodeBehindError as error:
            self._take_height(error.current)
            raise
        self._take_height(envelope.height)
        self.heard_at = time.monotonic()
        return envelope

    def _take_height(self, height: BlockHeight | None) -> None:
        if height is not None:
            self.height = height
            self._measures.node_height(self._network.chain_id, self.label, height)

    async def _post(self, body: Mapping[str, Any], seconds: float) -> object:
        # httpx counts its timeout anew with each byte; ours is one for the whole exchange.
        try:
            async with asyncio.timeout(seconds):
                return await self._transport.post(body, timeout_seconds=seconds)
        except TimeoutError:
            raise self._too_slow(seconds) from None

    def _too_slow(self, seconds: float) -> NodeUnreachableError:
        return NodeUnreachableError(
            f"the node {self.public_url} did not answer within {seconds:.1f} s"
        )

    def shrink(self, refused: Sequence[Page]) -> bool:
        """Remember that these pages were too much for one request; False: less is hopeless."""
        shrunk = self.limits.shrunk(refused)
        if not self.limits.indexation or shrunk.complexity < _HOPELESS_COMPLEXITY:
            return False
        if shrunk == self.limits:
            return True  # another request has learnt it already
        self.limits = shrunk
        _log.warning("node_limit_shrunk", node=self.public_url, limit=shrunk.complexity)
        return True

    def answered(self) -> None:
        """Note that the node answered: if it rested, its rest is over."""
        if self.breaker.is_open:
            self._measures.breaker(self._network.chain_id, self.label, is_open=False)
        self.breaker.succeeded()

    def failed(self, error: ProviderError) -> None:
        """Note that the node did not answer properly; a node that rests is verified anew."""
        if isinstance(error, NodeOverloadedError):
            self.breaker.leave_alone(error.retry_after_seconds)
        if self.breaker.failed():
            self._measures.breaker(self._network.chain_id, self.label, is_open=True)
            self.profile = None
            self.limits = Limits()
            _log.warning("node_resting", node=self.public_url, error=str(error))

    async def close(self) -> None:
        """End a verification that is under way, and close the connections."""
        if self._verification is not None:
            self._verification.cancel()
            await asyncio.gather(self._verification, return_exceptions=True)
        await self._transport.close()


def node_label(network: Network, url: str) -> str:
    """Return what metrics call a node: its place in the operator's order, and its host.

    No path: some providers put the caller's key there.
    """
    host = without_credentials(url).partition("://")[2].partition("/")[0]
    return f"{network.urls.index(url)}:{host}"
