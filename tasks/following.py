"""Following one chain: step by step, each of which may be the last. Knows no Celery.

A step declares wrong what the next blocks changed, and only then moves the cursor: whoever is
killed in between leaves work that is done again, never a change that nobody tells.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from cache.cursor import FollowerState, Sweep, SweepKind
from domain.blocks import BlockMark, ChainNews
from domain.errors import (
    CacheUnavailableError,
    ProviderError,
    RegistryUnavailableError,
)
from domain.events import invalidated
from domain.values import Address, BlockHeight, Lane
from runtime.following import FollowedChain
from tasks.following_state import Kept, LeaseLostError
from tasks.owed import with_owed
from tasks.refills import Refill, Refills
from tasks.sweeping import after_page, sweep_page, with_sweep
from tasks.touched import Changes, older

OVERLAP_BLOCKS = 10
"""Blocks before the tip that are read also after too large a gap: a fetch that is under way may
be true some blocks below the tip, and only a block's own height keeps it from being published."""

NEAR_BLOCKS = 60
"""Further from the tip nothing is refilled at once: hot vaults are due and their turn comes."""

WAIT_SECONDS = 3.0
"""How long a node may hold a request back until it has the next block: a part of the lease."""

_log = structlog.get_logger("tasks")


@dataclass(frozen=True, slots=True)
class FollowLimits:
    """What the operator decides (see the settings of the same names)."""

    interval_seconds: float
    max_gap: int
    restart_seconds: float


class Follower:
    """Follows one chain as long as it holds the lease.

    Args:
        chain: what it works with.
        limits: what the operator decided.
        refill: asks for vaults to be fetched again; called after they are declared wrong.
    """

    def __init__(self, chain: FollowedChain, limits: FollowLimits, refill: Refill) -> None:
        self._chain = chain
        self._limits = limits
        self._changes = Changes(chain)
        self._kept = Kept(chain)
        self._refills = Refills(self._kept, refill)
        self._at_tip = False
        self._walk: asyncio.Task[None] | None = None
        self._left_by_another = True

    async def run(self) -> None:
        """Follow until the lease is lost or the cache is away; return at once if it is taken.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        if not await self.begin():
            return
        self._kept.note("follow.began", cursor=self._height)
        try:
            while True:
                begun_at = time.monotonic()
                if await self._step_or_wait():
                    # From look to look: how long the node takes to answer is no further delay.
                    passed = time.monotonic() - begun_at
                    await asyncio.sleep(max(0.0, self._limits.interval_seconds - passed))
        except LeaseLostError:
            self._kept.note("follow.lease_lost", cursor=self._height)
        finally:
            await self.end()

    async def begin(self) -> bool:
        """Become the follower; False: somebody else is.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        return await self._kept.begin()

    async def end(self) -> None:
        """End what is under way and give the lease back."""
        if self._walk is not None:
            self._walk.cancel()
            await asyncio.gather(self._walk, return_exceptions=True)
        await self._refills.forget()
        with suppress(LeaseLostError, CacheUnavailableError):
            await self._kept.save(ends=True)

    @property
    def walks(self) -> bool:
        """True while what is kept is being gone through, beside the blocks."""
        return self._walk is not None

    @property
    def _height(self) -> BlockHeight | None:
        return None if self._kept.state.cursor is None else self._kept.state.cursor.height

    async def _step_or_wait(self) -> bool:
        try:
            return await self.step(wait_seconds=WAIT_SECONDS)
        except ProviderError as error:
            self._at_tip = False
            self._kept.complain("follow.node_failed", error=type(error).__name__, reason=str(error))
            await self._kept.save()
            return True

    async def step(self, *, wait_seconds: float = 0.0) -> bool:
        """Take one step; True when there are no more blocks to read for the moment.

        A follower who stands at the tip may wait for the next block, at the node.

        Raises:
            LeaseLostError: somebody else follows by now.
            CacheUnavailableError: Redis does not answer; the cursor has not moved.
            ProviderError: the node gave no blocks; the cursor has not moved.
        """
        self._refills.meet()
        await self._take_over()
        if self._kept.state.cursor is None or self._kept.state.origin is None:
            await self._resume()
        cursor, origin = self._kept.state.cursor, self._kept.state.origin
        if cursor is None or origin is None:
            return True
        lane = Lane.INVALIDATION if self._is_near(cursor.height) else Lane.REFRESH
        news = await self._chain.reader.news(
            cursor, origin, lane=lane, wait_seconds=wait_seconds if self._at_tip else 0.0
        )
        self._kept.tip, self._at_tip = news.tip.height, False
        if news.at_cursor != cursor.block_id:
            return await self._doubt(news, origin)
        if news.tip.height - cursor.height > self._limits.max_gap:
            return await self._jump(news)
        await self._take(news)
        await self._go_on_walking()
        await self._kept.keep_durably()
        self._at_tip = self._height is not None and self._height >= news.tip.height
        return self._at_tip

    def _is_near(self, height: BlockHeight) -> bool:
        return self._kept.tip is None or self._kept.tip - height <= NEAR_BLOCKS

    # Where to begin

    async def _take_over(self) -> None:
        """Ask for the refills that whoever followed before us may not have come to."""
        if self._left_by_another and (owed := self._kept.state.owed):
            height = max(owed.values())
            # He may not have come to declare them wrong either.
            wrong = await older(self._chain, owed)
            await self._declare_wrong(wrong, height, "the follower, after another one")
            await self._refills.ask(list(owed), height)
        self._left_by_another = False

    async def _resume(self) -> None:
        """Go on from the database's cursor; where there is none, from the chain's tip."""
        found = await self._kept.load_durably()
        if found is None:
            return await self._begin_at_tip()
        cursor, origin = found
        self._kept.note("follow.resumed", cursor=cursor.height)
        await self._kept.save(lambda state: replace(state, cursor=cursor, origin=origin))
        return None

    async def _begin_at_tip(self) -> None:
        tip, origin = await self._chain.reader.start()
        if origin is None:  # a chain of one block: nothing to know it by yet
            return await self._kept.save()
        height = max(origin.height, tip.height - OVERLAP_BLOCKS)
        cursor = await self._chain.reader.mark(height)
        if cursor is not None:
            self._kept.note("follow.begins_at_tip", cursor=cursor.height)
            await self._kept.save(lambda state: replace(state, cursor=cursor, origin=origin))
        return None

    # What does not fit

    async def _doubt(self, news: ChainNews, origin: BlockMark) -> bool:
        """The node has another block at our height, or none."""
        if news.at_cursor is None and news.at_origin in (None, origin.block_id):
            # The same chain: a node that lags, or that is being synced anew.
            self._kept.complain("follow.node_behind", cursor=self._height, tip=news.tip.height)
            await self._kept.save()
            return True
        since = self._kept.state.doubted_at_ms
        if since is None:
            self._kept.complain("follow.other_chain", cursor=self._height, tip=news.tip.height)
            await self._kept.save(lambda state: replace(state, doubted_at_ms=self._kept.now_ms))
        elif self._kept.now_ms - since < self._limits.restart_seconds * 1000:
            await self._kept.save()
        else:
            await self._begin_anew(news)
        return True

    async def _begin_anew(self, news: ChainNews) -> None:
        """The chain was begun anew: whatever we know is of one that is no more."""
        _log.error(
            "follow.chain_restarted",
            chain_id=self._chain.chain_id,
            cursor=self._height,
            tip=news.tip.height,
        )
        tip, origin = await self._chain.reader.start()
        await self._refills.forget()  # heights that the new chain may not reach for long
        await self._chain.watched.forget_floor(self._chain.chain_id)
        cursor = None if origin is None else tip
        sweep = Sweep(SweepKind.RESTART, tip.height)
        # With a durable height of 0 the database's cursor is replaced at the next step.
        anew = FollowerState(cursor=cursor, origin=origin, sweep=sweep)
        await self._kept.save(lambda _: anew)
        try:
            await self._chain.snapshots.forget_chain(self._chain.chain_id)
        except RegistryUnavailableError as error:
            self._kept.complain("follow.history_not_forgotten", reason=str(error))

    async def _jump(self, news: ChainNews) -> bool:
        """Too many blocks to read: everything may have changed."""
        height = news.tip.height - OVERLAP_BLOCKS
        cursor = await self._chain.reader.mark(height)
        if cursor is None:
            return True
        _log.warning(
            "follow.gap_too_large",
            chain_id=self._chain.chain_id,
            cursor=self._height,
            tip=news.tip.height,
        )
        gap = Sweep(SweepKind.GAP, height)
        await self._chain.cache.require(self._chain.chain_id, height)
        await self._kept.save(lambda state: with_sweep(replace(state, cursor=cursor), gap))
        return False

    # What the blocks tell

    async def _take(self, news: ChainNews) -> None:
        if not news.blocks:
            return await self._kept.save(_undoubted)
        last = news.blocks[-1].mark
        wrong = await self._changes.of(news.blocks)
        await self._declare_wrong(wrong, last.height, f"the follower, blocks up to {last.height}")
        # Far from the tip hot vaults are due and their turn comes, others are read.
        owed = wrong if self._is_near(last.height) else ()
        has_events = any(block.has_events for block in news.blocks)
        if has_events:  # a walk finds only what is there: what is being fetched must be stopped
            await self._chain.cache.require(self._chain.chain_id, last.height)

        def taken(state: FollowerState) -> FollowerState:
            moved = with_owed(replace(_undoubted(state), cursor=last), owed, last.height)
            if not has_events:
                return moved
            return with_sweep(moved, Sweep(SweepKind.DEPOSIT, last.height))

        await self._kept.save(taken)
        return await self._refills.ask(owed, last.height)

    async def _go_on_walking(self) -> None:
        """Let a walk go on beside the blocks, and meet how it ended."""
        if self._walk is not None and self._walk.done():
            ended, self._walk = self._walk, None
            await ended
        if self._walk is None and self._kept.state.sweep is not None:
            self._walk = asyncio.ensure_future(self._sweep())

    async def _sweep(self) -> None:
        while (sweep := self._kept.state.sweep) is not None:
            await self._sweep_page(sweep)

    async def _sweep_page(self, sweep: Sweep) -> None:
        swept = await sweep_page(self._chain, sweep)
        if swept.wrong:
            # Owed before it is declared wrong: the next walk meets only what is fresh.
            await self._kept.save(lambda state: with_owed(state, swept.wrong, sweep.height))
            by = "the follower, a deposit from L1"
            await self._declare_wrong(swept.wrong, sweep.height, by)
            # Also far from the tip, where the walk may have been overtaken: they are few.
            await self._refills.ask(swept.wrong, sweep.height)
        await self._kept.save(lambda state: after_page(state, sweep, swept))
        if swept.rest is None:
            self._kept.note("follow.swept", kind=sweep.kind.value, block_height=sweep.height)

    async def _declare_wrong(self, wrong: Sequence[Address], height: BlockHeight, by: str) -> None:
        await self._chain.cache.invalidate(wrong, self._chain.chain_id, height)
        notes = invalidated(wrong, by, height)
        await self._chain.vault_log.note(self._chain.chain_id, notes)
        if wrong:
            self._kept.note("follow.invalidated", block_height=height, predicates=len(wrong))


def _undoubted(state: FollowerState) -> FollowerState:
    return replace(state, doubted_at_ms=None)
