"""Whose balances blocks have made wrong, of those that matter here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from cache.cursor import Sweep, SweepKind
from domain.blocks import BlockDigest
from domain.errors import RegistryUnavailableError
from domain.values import Address, AssetId, BlockHeight, Fresh, ReadAnswer
from runtime.following import FollowedChain

DEPOSIT_CHECKS = 20_000
"""Vaults that are compared after an event of L1; beyond it they are all taken for wrong."""

_log = structlog.get_logger("tasks")


@dataclass(frozen=True, slots=True)
class Change:
    """What some blocks have changed.

    Attributes:
        wrong: whose balances are to be declared wrong.
        unknown: others may be wrong too, and nobody can tell which.
    """

    wrong: tuple[Address, ...]
    unknown: bool = False


class Changes:
    """Finds out what blocks have changed, at a cost for each block and not for each vault."""

    def __init__(self, chain: FollowedChain) -> None:
        self._chain = chain

    async def of(self, blocks: Sequence[BlockDigest]) -> Change:
        """Return what these blocks have changed.

        Raises:
            CacheUnavailableError: Redis does not answer.
            ProviderError: the node cannot be asked for whom an event of L1 was.
        """
        touched = {owner: block.mark.height for block in blocks for owner in block.owners}
        ours = await self._ours(touched)
        wrong = await _older(self._chain, {owner: touched[owner] for owner in ours})
        events = [block.mark.height for block in blocks if block.has_events]
        if not events:
            return Change(tuple(wrong))
        deposited = await self._deposited(events[-1])
        found = dict.fromkeys([*wrong, *(deposited or ())])
        return Change(tuple(found), unknown=deposited is None)

    async def _ours(self, owners: Iterable[Address]) -> list[Address]:
        """Return those that the cache holds something of, and those that the registry knows.

        The registry's own index is asked, not a copy of it: a vault that was registered a moment
        ago is known. While the database is away, what the cache holds has to do.
        """
        asked = list(owners)
        cached = await self._chain.watched.known(self._chain.chain_id, asked)
        rest = [owner for owner in asked if owner not in cached]
        try:
            registered = await self._chain.registry.known_addresses(rest) if rest else ()
        except RegistryUnavailableError as error:
            _log.warning("follow.registry_away", reason=str(error), owners=len(rest))
            registered = ()
        return [*cached, *registered]

    async def _deposited(self, height: BlockHeight) -> Sequence[Address] | None:
        """Return whose base asset is another than cached; None: that cannot be found out.

        A message of L1 raises a balance without a transaction, and nothing but the balance
        itself tells whose.
        """
        believed = await self._believed(height)
        if believed is None:
            return None
        if not believed:
            return ()
        told = await self._chain.reader.base_amounts(list(believed), height)
        if told is None:
            return None
        asset_id, amounts = told
        return [a for a, answer in believed.items() if _amount(answer, asset_id) != amounts[a]]

    async def _believed(self, height: BlockHeight) -> Mapping[Address, Fresh] | None:
        """Return what readers are given that may be from before the height; None: too many."""
        found: dict[Address, Fresh] = {}
        place = 0
        while True:
            place, page = await self._chain.watched.with_value(self._chain.chain_id, place)
            answers = await self._chain.cache.read(self._chain.chain_id, page)
            found |= {a: f for a, f in answers.items() if isinstance(f, Fresh) and _old(f, height)}
            if len(found) > DEPOSIT_CHECKS:
                return None
            if place == 0:
                return found


async def sweep_page(chain: FollowedChain, sweep: Sweep) -> int:
    """Declare one page of what is kept wrong; return where the walk goes on, 0 at its end.

    No node is asked: hot vaults are due by it and their turn comes, others when they are read.

    Raises:
        CacheUnavailableError: Redis does not answer; the page has to be done again.
    """
    if sweep.kind is SweepKind.RESTART:
        place, page = await chain.watched.with_traces(chain.chain_id, sweep.place)
        await chain.cache.invalidate(page, chain.chain_id)
        await chain.watched.forget(chain.chain_id, page)
        return place
    place, page = await chain.watched.with_value(chain.chain_id, sweep.place)
    wrong = await _older(chain, dict.fromkeys(page, sweep.height))
    await chain.cache.invalidate(wrong, chain.chain_id, sweep.height)
    return place


async def _older(chain: FollowedChain, heights: Mapping[Address, BlockHeight]) -> list[Address]:
    """Return those of which nothing fresh is known that is true at their height or later.

    Whoever was told of a transaction may have been refilled before we came: that stays.
    """
    answers = await chain.cache.read(chain.chain_id, list(heights))
    return [a for a, height in heights.items() if _old(answers[a], height)]


def _old(answer: ReadAnswer, height: BlockHeight) -> bool:
    if not isinstance(answer, Fresh) or answer.stored.foreign:
        return True
    return answer.stored.snapshot.height < height


def _amount(answer: Fresh, asset_id: AssetId) -> int:
    balances = answer.stored.snapshot.balances
    return next((balance.amount for balance in balances if balance.asset_id == asset_id), 0)
