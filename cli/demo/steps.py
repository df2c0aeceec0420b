"""The five steps of the demo. Each measures, and raises when what it promises did not hold."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cli.demo.dashboard import VaultView
from cli.demo.figures import After, Before, Refresh, Transaction, Warmup
from cli.demo.nodes import Confirmed, total_requests
from cli.demo.stage import Stage
from cli.errors import StepFailedError
from cli.seed import BASE_ASSET, STARTING_AMOUNT
from domain.values import Fresh
from tasks.names import INVALIDATE, Queue

_TRANSFERRED = 250_000_000
_WARM_SECONDS = 20.0
_RIGHT_SECONDS = 20.0
_REFRESH_SECONDS = 30.0


async def load_without_cache(stage: Stage) -> Before:
    """Step 1: each vault's card asks the node, one after another."""
    calls = await total_requests(stage.nodes.values())
    with stage.timeline.waiting("loading the dashboard", _requests(stage)) as advance:
        seconds = await stage.without_cache.load(advance)
    calls = await total_requests(stage.nodes.values()) - calls
    if calls < len(stage.user.addresses):
        raise StepFailedError(f"the dashboard without cache made {calls} node calls only")
    return Before(seconds, calls)


async def log_in(stage: Stage) -> Warmup:
    """Step 2: the login's task warms every vault on every network."""
    calls = await total_requests(stage.nodes.values())
    predicates = len(stage.user.addresses)
    started = time.monotonic()
    await stage.publisher.warm_user(stage.user.user_id)
    with stage.timeline.waiting("warming vaults", predicates * len(stage.nodes)) as advance:

        async def all_warm() -> bool:
            warm = sum([len(await stage.fresh(chain_id)) for chain_id in stage.nodes])
            advance(warm)
            return warm == predicates * len(stage.nodes)

        await stage.until("all vaults warm", all_warm, seconds=_WARM_SECONDS)
    seconds = time.monotonic() - started
    return Warmup(seconds, predicates, await total_requests(stage.nodes.values()) - calls)


async def load_with_cache(stage: Stage) -> After:
    """Step 3: the same dashboard, out of the cache alone."""
    calls = await total_requests(stage.nodes.values())
    with stage.timeline.waiting("loading the dashboard", _requests(stage)) as advance:
        seconds = await stage.with_cache.load(advance)
    calls = await total_requests(stage.nodes.values()) - calls
    if calls:
        raise StepFailedError(f"the dashboard with cache made {calls} node calls")
    return After(seconds, calls)


async def confirm_transaction(stage: Stage) -> Transaction:
    """Step 4: a transaction between two vaults; both must read right, and never wrong as fresh."""
    sender, receiver = stage.user.addresses[:2]
    confirmed = await stage.nodes[stage.chain_id].transfer(
        sender, receiver, BASE_ASSET, _TRANSFERRED
    )
    started = time.monotonic()
    await stage.publisher.send(
        INVALIDATE,
        [[sender, receiver], stage.chain_id, confirmed.block_height, confirmed.transaction_id],
        queue=Queue.INVALIDATION.value,
    )
    reads = _Reads(stage, confirmed)
    with stage.timeline.waiting("reading both vaults", 2) as advance:

        async def both_right() -> bool:
            right = await reads.look()
            advance(right)
            return right == len(_expected())

        await stage.until("both vaults right", both_right, seconds=_RIGHT_SECONDS)
    if reads.stale:
        raise StepFailedError(f"{reads.stale} reads were wrong and called fresh")
    seconds = time.monotonic() - started
    stage.timeline.say(reads.told())
    return Transaction(seconds, reads.stale)


async def wait_for_refresh(stage: Stage) -> Refresh:
    """Step 5: nobody reads; beat replaces what gets old before its fresh life ends."""
    before = await stage.fresh(stage.chain_id)
    with stage.timeline.waiting("beat refreshes", len(before)) as advance:

        async def all_refreshed() -> bool:
            now = await stage.fresh(stage.chain_id)
            refreshed = sum(
                stored.timestamp_ms > before[address].timestamp_ms
                for address, stored in now.items()
                if address in before
            )
            advance(refreshed)
            return refreshed == len(before) > 0

        await stage.until("all vaults refreshed by beat", all_refreshed, seconds=_REFRESH_SECONDS)
    return Refresh(len(before))


@dataclass
class _Reads:
    """Reads both vaults again and again, and judges each answer.

    Attributes:
        stale: see `figures.Transaction`.
        marked: reads that were answered with the balances from before, but said that they are
            stale.
        earlier: reads sent while the invalidation was still on its way to a worker and answered
            with the balances from before.
    """

    stage: Stage
    confirmed: Confirmed
    stale: int = 0
    marked: int = 0
    earlier: int = 0

    def told(self) -> str:
        """Return what became of the reads that did not tell of the transaction yet."""
        return (
            f"{self.earlier} reads were sent before the invalidation had happened, "
            f"{self.marked} said that they are stale"
        )

    async def look(self) -> int:
        """Read both vaults once; return how many were right, and called fresh."""
        right = 0
        for place, expected in enumerate(_expected()):
            # Looked at before the read is sent: what is invalidated now stays so for the read.
            invalidated = await self._is_invalidated(place)
            view = await self.stage.with_cache.vault(self.stage.user.predicate_ids[place])
            if view.amounts.get(BASE_ASSET) == expected:
                right += view.is_fresh
            else:
                self._count_wrong(view, invalidated=invalidated)
        return right

    async def _is_invalidated(self, place: int) -> bool:
        """Tell whether the invalidation of this vault has happened.

        Before it, the cache calls fresh what is from before the transaction's block.
        """
        address = self.stage.user.addresses[place]
        answer = (await self.stage.cache.read(self.stage.chain_id, [address]))[address]
        if not isinstance(answer, Fresh):
            return True
        return answer.stored.snapshot.height >= self.confirmed.block_height

    def _count_wrong(self, view: VaultView, *, invalidated: bool) -> None:
        if not view.is_fresh:
            self.marked += 1
        elif invalidated:
            self.stale += 1
        else:
            self.earlier += 1


def _expected() -> tuple[int, int]:
    return STARTING_AMOUNT - _TRANSFERRED, STARTING_AMOUNT + _TRANSFERRED


def _requests(stage: Stage) -> int:
    return len(stage.user.addresses) + 1
