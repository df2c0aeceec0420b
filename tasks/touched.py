"""Whose balances blocks have made wrong, of those that matter here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import structlog

from domain.blocks import BlockDigest
from domain.errors import RegistryUnavailableError
from domain.values import Address, BlockHeight, Fresh, ReadAnswer
from runtime.following import FollowedChain

_log = structlog.get_logger("tasks")


class Changes:
    """Finds out what blocks have changed, at a cost for each block and not for each vault."""

    def __init__(self, chain: FollowedChain) -> None:
        self._chain = chain

    async def of(self, blocks: Sequence[BlockDigest]) -> list[Address]:
        """Return whose balances the transactions of these blocks have made wrong.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        touched = {owner: block.mark.height for block in blocks for owner in block.owners}
        ours = await self._ours(touched)
        return await older(self._chain, {owner: touched[owner] for owner in ours})

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


async def older(chain: FollowedChain, heights: Mapping[Address, BlockHeight]) -> list[Address]:
    """Return those of which nothing fresh is known that is true at their height or later.

    Whoever was told of a transaction may have been refilled before we came: that stays.
    """
    answers = await chain.cache.read(chain.chain_id, list(heights), counted=False)
    return [a for a, height in heights.items() if is_older(answers[a], height)]


def is_older(answer: ReadAnswer, height: BlockHeight) -> bool:
    """Tell whether an answer says nothing, or nothing sure, about this height."""
    if not isinstance(answer, Fresh) or answer.stored.foreign:
        return True
    return answer.stored.snapshot.height < height
