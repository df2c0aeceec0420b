"""One question to a node, within the budget; if wished, a second node is asked when it is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from domain.errors import ProviderError
from domain.ports import CallBudget
from domain.values import BlockHeight, ChainId, Lane
from provider.answers import Envelope
from provider.endpoint import Endpoint
from provider.gate import LaneGate
from provider.planner import Page, plan
from provider.pool import EndpointPool

Answered = tuple[Endpoint, Envelope]

_SHORTEST_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        pages: the pages of one request.
        required_height: what they must be true at, or later.
        lane: how urgent it is.
        deadline: until when the budget may let it wait, by the event loop's clock.
    """

    pages: Sequence[Page]
    required_height: BlockHeight
    lane: Lane
    deadline: float


class Exchange:
    """Sends questions of one network.

    Args:
        chain_id: the network.
        pool: its nodes.
        gate: the limit of requests under way in this process.
        budget: the limit of calls of all processes.
        hedge_quantile: ask a second node when the first is slower than this part of its own
            answers; None: never. Hedged questions spend the budget twice.
    """

    def __init__(
        self,
        chain_id: ChainId,
        pool: EndpointPool,
        gate: LaneGate,
        budget: CallBudget,
        hedge_quantile: float | None = None,
    ) -> None:
        self._chain_id = chain_id
        self._pool = pool
        self._gate = gate
        self._budget = budget
        self._hedge_quantile = hedge_quantile

    async def ask(self, endpoint: Endpoint, question: Question, share: float) -> Answered:
        """Return the answer and whose it is.

        Args:
            endpoint: who is asked.
            question: what.
            share: which part of the time that is left, when the question goes out, the node has.

        Raises:
            ProviderError: there is none; of a hedged question, the first node's error.
        """
        patience = self._patience(endpoint)
        if patience is None:
            return await self._send(endpoint, question, share)
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        first = asyncio.ensure_future(self._send(endpoint, question, share, sent))
        try:
            # Waiting for our own budget is not the node's slowness.
            first.add_done_callback(lambda _: _tell(sent))
            await sent
            await asyncio.wait({first}, timeout=patience)
            second = None if first.done() else self._other(endpoint, question)
            if second is None:
                return await first
            return await self._race(first, second, question, share)
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)

    def _patience(self, endpoint: Endpoint) -> float | None:
        if self._hedge_quantile is None:
            return None
        return endpoint.usual_seconds(self._hedge_quantile)

    def _other(self, endpoint: Endpoint, question: Question) -> Endpoint | None:
        """Return another node that is well and takes the same pages in one request."""
        for other in self._pool.ranked({endpoint}):
            well = other.profile is not None and not other.breaker.is_open
            alike = other.limits.indexation == endpoint.limits.indexation
            fits = alike and len(plan(question.pages, other.limits)) == 1
            if other is not endpoint and well and fits:
                return other
        return None

    async def _race(
        self,
        first: asyncio.Task[Answered],
        other: Endpoint,
        question: Question,
        share: float,
    ) -> Answered:
        second = asyncio.ensure_future(self._send(other, question, share))
        try:
            waiting: set[asyncio.Task[Answered]] = {first, second}
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if not isinstance(task.exception(), ProviderError):
                        return task.result()
            return first.result()
        finally:
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)

    async def _send(
        self,
        endpoint: Endpoint,
        question: Question,
        share: float,
        sent: asyncio.Future[None] | None = None,
    ) -> Answered:
        clock = asyncio.get_running_loop().time
        left = max(0.0, question.deadline - clock())
        async with (
            self._budget.call(self._chain_id, question.lane, timeout_seconds=left),
            self._gate.enter(question.lane),
        ):
            if sent is not None:
                _tell(sent)
            seconds = max(_SHORTEST_SECONDS, share * (question.deadline - clock()))
            envelope = await endpoint.ask(
                question.pages, question.required_height, seconds, question.lane
            )
        endpoint.answered()
        return endpoint, envelope


def _tell(sent: asyncio.Future[None]) -> None:
    if not sent.done():
        sent.set_result(None)
