"""What a process remembers of the predicates that it reads: their keys, and decoded values.

The same bytes mean the same snapshot, so that nothing remembered can be stale: a value is taken
from memory only if Redis has just answered with exactly its bytes. Comparing them costs a
fraction of decoding them.
"""

from __future__ import annotations

from cache.codec import Decoded, decode
from cache.keys import Keys
from domain.values import Address, ChainId

_LARGEST_BYTES = 8 * 1024
_MOST_PREDICATES = 8_192


class Known:
    """One predicate on one chain.

    Attributes:
        names: the keys of its value, its chain's flag and the flag of all chains.
        closer_names: the key of the last known snapshot, then the same.
        state_name: the key of its state.
    """

    __slots__ = ("_raw", "_value", "address", "chain_id", "closer_names", "names", "state_name")

    def __init__(self, keys: Keys, chain_id: ChainId, address: Address) -> None:
        self.names = (
            keys.value(address, chain_id).encode(),
            keys.chain_flag(address, chain_id).encode(),
            keys.global_flag(address).encode(),
        )
        self.closer_names = (keys.last_known(address, chain_id).encode(), *self.names)
        self.state_name = keys.state(address, chain_id).encode()
        self.chain_id = chain_id
        self.address = address
        self._raw: bytes | None = None
        self._value: Decoded | None = None

    def decode(self, raw: bytes) -> Decoded:
        """Return what the bytes mean.

        Raises:
            PoisonedValueError: they mean nothing.
        """
        if self._value is not None and raw == self._raw:
            return self._value
        value = decode(raw, self.address, self.chain_id)
        if len(raw) <= _LARGEST_BYTES:
            self._raw, self._value = raw, value
        return value


class Memory:
    """The predicates that were read, up to a number; the first ones are forgotten first."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._chains: dict[ChainId, dict[Address, Known]] = {}

    def of(self, chain_id: ChainId, address: Address) -> Known:
        """Return what is known of one predicate."""
        chain = self._chains.setdefault(chain_id, {})
        known = chain.get(address)
        if known is None:
            if len(chain) >= _MOST_PREDICATES:
                del chain[next(iter(chain))]
            known = chain[address] = Known(self._keys, chain_id, address)
        return known
