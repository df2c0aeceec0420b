"""What another program's cache says of balances: read alone, for a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from redis.asyncio import Redis

from cache.codec import PoisonedValueError, decode
from cache.commands import Commands
from cache.connection import CONNECT_SECONDS, SOCKET_SECONDS
from cache.keys import Keys
from domain.errors import ConfigurationError
from domain.values import Address, ChainId, StoredSnapshot

_POOL_SIZE = 4


class ForeignBalances:
    """Bako's values in a Redis of its own. Methods raise `CacheUnavailableError`."""

    def __init__(self, redis_url: str) -> None:
        """Take note of where it is. Nothing is ever written there, not even a name of history.

        Raises:
            ConfigurationError: the address is not a Redis URL.
        """
        try:
            self._client = Redis.from_url(
                redis_url,
                max_connections=_POOL_SIZE,
                socket_timeout=SOCKET_SECONDS,
                socket_connect_timeout=CONNECT_SECONDS,
            )
        except ValueError as error:
            raise ConfigurationError(
                "SHADOW_REDIS_URL: expected redis://host:port/database, rediss:// or unix://"
            ) from error
        self._commands = Commands(self._client)
        self._keys = Keys()

    async def read(
        self, chain_id: ChainId, addresses: Sequence[Address]
    ) -> Mapping[Address, StoredSnapshot]:
        """Return what is served from there: values without a flag, that can be read."""
        keys = [
            key
            for address in addresses
            for key in (
                self._keys.value(address, chain_id),
                self._keys.chain_flag(address, chain_id),
                self._keys.global_flag(address),
            )
        ]
        texts = await self._commands.get_many(keys)
        found: dict[Address, StoredSnapshot] = {}
        for at, address in enumerate(addresses):
            raw, *flags = texts[3 * at : 3 * at + 3]
            if raw is None or any(flag is not None for flag in flags):
                continue
            try:
                found[address] = decode(raw, address, chain_id).stored
            except PoisonedValueError:
                continue
        return found

    async def aclose(self) -> None:
        """Give the connections back."""
        await self._client.aclose()
