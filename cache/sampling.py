"""Whom an audit looks at: by traffic, and everybody in turn.

Key: ``bc:audit:{c}`` (string, where the walk through all values goes on; 7 days).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from redis.asyncio import Redis

from cache.commands import Commands
from cache.keys import Keys
from cache.watched import WatchedPredicates
from domain.values import Address, ChainId

_LIFE_SECONDS = 7 * 86_400
_DRAWN_FOR_ONE = 4
"""So many hot predicates are drawn for each that is taken: the draw itself knows no weights."""

_MOST_PAGES = 20
"""A step of the walk ends here even if it met few values: other keys are met on the way."""


class AuditSample:
    """Draws predicates. Methods raise `CacheUnavailableError` when Redis does not answer."""

    def __init__(
        self,
        client: Redis,
        *,
        hash_tags: bool = False,
        chance: random.Random | None = None,
    ) -> None:
        self._commands = Commands(client)
        self._keys = Keys(hash_tags)
        self._watched = WatchedPredicates(client, hash_tags=hash_tags)
        self._chance = chance or random.Random()  # noqa: S311 - a sample is no secret

    async def by_traffic(self, chain_id: ChainId, count: int) -> Sequence[Address]:
        """Draw hot predicates; the more one is read, the more often it is drawn."""
        [drawn] = await self._commands.batch(
            [("HRANDFIELD", self._keys.reads(chain_id), count * _DRAWN_FOR_ONE, "WITHVALUES")]
        )
        pairs = _pairs(drawn)
        # Efraimidis and Spirakis (2006): the greatest u^(1/w) are a sample weighted by w.
        keyed = sorted(pairs, key=lambda p: self._chance.random() ** (1 / p[1]), reverse=True)
        return [address for address, _ in keyed[:count]]

    async def in_turn(self, chain_id: ChainId, count: int) -> Sequence[Address]:
        """Go on with the walk through all that readers may be given; about `count` of them.

        The walk begins anew at its end: whoever stays cached is met once in each round.
        """
        [place] = await self._commands.batch([("GET", self._key(chain_id))])
        at = int(place) if isinstance(place, bytes) and place.isdigit() else 0
        met: dict[Address, None] = {}
        for _ in range(_MOST_PAGES):
            at, page = await self._watched.with_value(chain_id, at)
            met.update(dict.fromkeys(page))
            if at == 0 or len(met) >= count:
                break
        await self._commands.batch([("SET", self._key(chain_id), at, "EX", _LIFE_SECONDS)])
        return list(met)

    def _key(self, chain_id: ChainId) -> str:
        return f"bc:audit:{chain_id}"


def _pairs(drawn: object) -> list[tuple[Address, float]]:
    """Read addresses and how often they are read ("count:time"); what is damaged is left out."""
    rows = drawn if isinstance(drawn, list) else []
    if rows and not isinstance(rows[0], list):  # RESP2 answers flat
        rows = list(zip(rows[::2], rows[1::2], strict=False))
    pairs = []
    for address, reads in rows:
        try:
            weight = float(reads.partition(b":")[0])
        except ValueError:
            continue
        if weight > 0:
            pairs.append((address.decode(), weight))
    return pairs
