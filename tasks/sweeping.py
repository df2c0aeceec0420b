"""Going through what is kept of a chain, page by page, between blocks.

How far a walk has come is kept with the cursor: whoever takes over goes on with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cache.cursor import FollowerState, Sweep, SweepKind
from domain.events import invalidated
from domain.values import Address, AssetId, BlockHeight, Fresh
from runtime.following import FollowedChain
from tasks.touched import is_older, older

COMPARED_AT_ONCE = 4_000
"""Vaults whose base asset is compared at once: as many node requests as may be under way."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one page of a walk came to.

    Attributes:
        rest: what is left of the walk; None: nothing.
        wrong: whose balances are wrong and worth a refill at once; not declared so yet.
    """

    rest: Sweep | None
    wrong: Sequence[Address] = ()


def with_sweep(state: FollowerState, sweep: Sweep) -> FollowerState:
    """Return the state with one more walk to be made.

    Walks wait for each other, and those that wait are one: at the greater height it finds what
    the others would have found. A gap makes everything wrong and needs no other walk beside it.
    """
    present = state.sweep
    if present is None:
        return replace(state, sweep=sweep)
    if sweep.kind is SweepKind.GAP:
        kind = SweepKind.RESTART if present.kind is SweepKind.RESTART else SweepKind.GAP
        return replace(state, sweep=Sweep(kind, sweep.height), next_sweep=None)
    return replace(state, next_sweep=sweep)


def after_page(state: FollowerState, sweep: Sweep, swept: Swept) -> FollowerState:
    """Return the state after a page of a walk: the same walk further on, or the next.

    A walk that was replaced meanwhile is over.
    """
    if state.sweep != sweep:
        return state
    if swept.rest is not None:
        return replace(state, sweep=swept.rest)
    return replace(state, sweep=state.next_sweep, next_sweep=None)


async def sweep_page(chain: FollowedChain, sweep: Sweep) -> Swept:
    """Go on with a walk: declare wrong, or find, what is wrong on the next pages.

    Raises:
        CacheUnavailableError: Redis does not answer; the page has to be done again.
        ProviderError: the node cannot be asked for whom an event of L1 was; likewise.
    """
    if sweep.kind is SweepKind.DEPOSIT:
        return await _compare(chain, sweep)
    if sweep.kind is SweepKind.GAP:
        return await _declare_wrong(chain, sweep)
    return await _forget(chain, sweep)


async def _forget(chain: FollowedChain, sweep: Sweep) -> Swept:
    """Another chain: whatever is known is wrong, and so are its heights."""
    place, page = await chain.watched.with_traces(chain.chain_id, sweep.place)
    await chain.cache.invalidate(page, chain.chain_id)
    await _tell(chain, page, "the follower, the chain was begun anew", None)
    await chain.watched.forget(chain.chain_id, page)
    return Swept(_rest(sweep, place))


async def _declare_wrong(chain: FollowedChain, sweep: Sweep) -> Swept:
    """No node is asked: hot vaults are due by it and their turn comes, others when read."""
    place, page = await chain.watched.with_value(chain.chain_id, sweep.place)
    wrong = await older(chain, dict.fromkeys(page, sweep.height))
    await chain.cache.invalidate(wrong, chain.chain_id, sweep.height)
    await _tell(chain, wrong, "the follower, blocks that were not read", sweep.height)
    return Swept(_rest(sweep, place))


async def _compare(chain: FollowedChain, sweep: Sweep) -> Swept:
    """Find out whose base asset an event of L1 has raised.

    It raises a balance without a transaction, and nothing but the balance itself tells whose.
    """
    place, believed = await _believed(chain, sweep)
    if not believed:
        return Swept(_rest(sweep, place))
    told = await chain.reader.base_amounts(list(believed), sweep.height)
    if told is None:  # no index of balances: one request for each would be too much
        return Swept(Sweep(SweepKind.GAP, sweep.height))
    asset_id, amounts = told
    other = [a for a, answer in believed.items() if _amount(answer, asset_id) != amounts[a]]
    # Whoever was refilled while the node was asked is right at this height already.
    wrong = await older(chain, dict.fromkeys(other, sweep.height))
    return Swept(_rest(sweep, place), wrong)


async def _tell(
    chain: FollowedChain, wrong: Sequence[Address], by: str, height: BlockHeight | None
) -> None:
    await chain.vault_log.note(chain.chain_id, invalidated(wrong, by, height))


async def _believed(chain: FollowedChain, sweep: Sweep) -> tuple[int, Mapping[Address, Fresh]]:
    """Return what readers are given that may be from before the height, some pages of it."""
    found: dict[Address, Fresh] = {}
    place = sweep.place
    while True:
        place, page = await chain.watched.with_value(chain.chain_id, place)
        answers = await chain.cache.read(chain.chain_id, page, counted=False)
        found |= {
            address: answer
            for address, answer in answers.items()
            if isinstance(answer, Fresh) and is_older(answer, sweep.height)
        }
        if place == 0 or len(found) >= COMPARED_AT_ONCE:
            return place, found


def _rest(sweep: Sweep, place: int) -> Sweep | None:
    return replace(sweep, place=place) if place else None


def _amount(answer: Fresh, asset_id: AssetId) -> int:
    balances = answer.stored.snapshot.balances
    return next((balance.amount for balance in balances if balance.asset_id == asset_id), 0)
