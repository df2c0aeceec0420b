"""Asking for the refills that a follower owes: beside the blocks, again and again without a broker.

A publish to a broker that is dead fails, and one to a broker that hangs lasts as long as it does.
Neither may hold up the blocks, by which balances are declared wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from domain.errors import PublishingError
from domain.values import Address, BlockHeight
from tasks.following_state import Kept
from tasks.owed import without_owed

MOST_OWED = 2_000
"""Vaults whose refill waits for the broker: they are written with each move of the cursor. Of more,
those that changed last stay; the others are refilled by their turn, or when they are read."""

AGAIN_SECONDS = 1.0
"""How long it is waited before a broker that took nothing is asked again."""

PATIENCE_SECONDS = 1.0
"""How long the blocks wait for a broker that answers: it is their way to be right again."""

Refill = Callable[[Sequence[Address], BlockHeight], Awaitable[None]]
"""Asks for vaults to be fetched again at a height or later; raises `PublishingError`."""


class Refills:
    """The refills that one follower still has to ask for; each is noted as owed before.

    Args:
        kept: where what was asked for is crossed out.
        refill: asks the broker.
    """

    def __init__(self, kept: Kept, refill: Refill) -> None:
        self._kept = kept
        self._refill = refill
        self._waiting: dict[Address, BlockHeight] = {}
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, addresses: Sequence[Address], height: BlockHeight) -> None:
        """Ask for vaults that were declared wrong; soon done, or it goes on beside the caller.

        Raises:
            LeaseLostError: somebody else follows by now.
            CacheUnavailableError: Redis does not answer; they stay owed.
        """
        for address in addresses:
            self._waiting[address] = max(height, self._waiting.get(address, 0))
        if self._asking is not None and not self._asking.done():
            return await self._keep_the_latest()
        self.meet()
        if self._waiting:
            self._asking = asyncio.ensure_future(self._ask())
            await asyncio.wait([self._asking], timeout=PATIENCE_SECONDS)
            self.meet()
        return None

    def meet(self) -> None:
        """Raise what has ended the asking, if anything has; see `ask`."""
        if self._asking is not None and self._asking.done():
            ended, self._asking = self._asking, None
            ended.result()

    async def forget(self) -> None:
        """Give up what is under way and what waits; what is noted as owed stays so."""
        self._waiting.clear()
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
            self._asking = None

    async def _ask(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, {}
            height = max(asked.values())
            try:
                await self._refill(list(asked), height)
            except PublishingError as error:
                self._kept.complain("follow.broker_away", reason=str(error), predicates=len(asked))
                self._waiting = asked | self._waiting
                await self._keep_the_latest()
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                await self._cross_out(list(asked), height)

    async def _keep_the_latest(self) -> None:
        """Without a broker there is no end to what may be owed."""
        by_height = sorted(self._waiting.items(), key=lambda item: item[1])
        forgotten = dict(by_height[:-MOST_OWED])
        if forgotten:
            self._waiting = dict(by_height[-MOST_OWED:])
            self._kept.complain("follow.refills_forgotten", predicates=len(forgotten))
            await self._cross_out(list(forgotten), max(forgotten.values()))

    async def _cross_out(self, addresses: Sequence[Address], height: BlockHeight) -> None:
        await self._kept.save(lambda state: without_owed(state, addresses, height))
