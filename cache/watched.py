"""Which predicates the cache holds something of. Its own keys are the answer: nothing to sync.

Walks by SCAN page by page, so that a walk can be interrupted and gone on with: what is there
from its beginning to its end is met.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from redis.asyncio import Redis

from cache.commands import Command, Commands, ScriptCall
from cache.keys import Keys
from domain.errors import InvalidAddressError
from domain.values import Address, ChainId, parse_address

PAGE = 500
"""Keys that one step of a walk looks at, about."""

_VALUES = ("balance",)
_EVERYTHING = ("balance", "bc:state", "bc:last")

Page = tuple[int, Sequence[Address]]
"""Where the walk goes on (0: it is at its end), and whom it met."""


class WatchedPredicates:
    """Knows for whom a change on a chain matters. Methods raise `CacheUnavailableError`."""

    def __init__(self, client: Redis, *, hash_tags: bool = False) -> None:
        self._commands = Commands(client)
        self._keys = Keys(hash_tags)

    async def known(self, chain_id: ChainId, addresses: Iterable[Address]) -> set[Address]:
        """Return those of which there is a value or a state, in one round trip."""
        asked = list(dict.fromkeys(addresses))
        commands: list[Command] = [
            (
                "EXISTS",
                self._keys.value(address, chain_id),
                self._keys.state(address, chain_id),
            )
            for address in asked
        ]
        counts = await self._commands.batch(commands)
        # An error in an answer's place counts as known: one fetch too many, no change missed.
        return {address for address, count in zip(asked, counts, strict=True) if count != 0}

    async def with_value(self, chain_id: ChainId, place: int) -> Page:
        """Return a page of those that a reader may be given a value of."""
        return await self._page("balance:*0x*", _VALUES, chain_id, place)

    async def with_traces(self, chain_id: ChainId, place: int) -> Page:
        """Return a page of those of which anything is kept."""
        return await self._page("b*0x*", _EVERYTHING, chain_id, place)

    async def forget_floor(self, chain_id: ChainId) -> None:
        """Let whatever height of a chain be published: it was begun anew."""
        await self._commands.batch([("DEL", self._keys.floor(chain_id))])

    async def forget(self, chain_id: ChainId, addresses: Sequence[Address]) -> None:
        """Forget everything of predicates that have just been invalidated, heights too.

        For a chain that was begun anew.
        """
        calls: list[ScriptCall] = [
            (
                (
                    self._keys.state(address, chain_id),
                    self._keys.value(address, chain_id),
                    self._keys.last_known(address, chain_id),
                ),
                (),
            )
            for address in addresses
        ]
        await self._commands.run("forget", calls)

    async def _page(
        self, pattern: str, families: Sequence[str], chain_id: ChainId, place: int
    ) -> Page:
        command = ("SCAN", place, "MATCH", f"{pattern}:{chain_id}", "COUNT", PAGE)
        [(place, keys)] = await self._commands.batch([command])
        met = {_address_in(key.decode("utf-8", "replace"), families, chain_id) for key in keys}
        return int(place), sorted(address for address in met if address is not None)


def _address_in(key: str, families: Sequence[str], chain_id: ChainId) -> Address | None:
    family, _, rest = key.partition(":0x") if ":0x" in key else key.partition(":{0x")
    address, _, chain = rest.rpartition(":")
    if family not in families or chain != str(chain_id):
        return None
    try:
        return parse_address("0x" + address.removesuffix("}"))
    except InvalidAddressError:
        return None
