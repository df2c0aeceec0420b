"""Leases: who may fetch and publish, who waits."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from cache.commands import Commands, ScriptCall
from cache.keys import ENDED_CHANNEL, EPOCH, Keys
from cache.lives import Lives, milliseconds
from domain.ports import Busy, Lease
from domain.values import Address, ChainId


class Leases:
    """Takes, extends and gives back leases; many in one round trip."""

    def __init__(self, commands: Commands, keys: Keys, lives: Lives) -> None:
        self._commands = commands
        self._keys = keys
        self._lives = lives

    async def acquire(
        self,
        chain_id: ChainId,
        addresses: Sequence[Address],
        seen: Mapping[Address, int] | None = None,
    ) -> dict[Address, Lease | Busy]:
        """Ask for the lease of each predicate."""
        unique = list(dict.fromkeys(addresses))
        tokens = [secrets.token_hex(16) for _ in unique]
        calls = [
            self._acquire_call(
                chain_id, address, token, None if seen is None else seen.get(address)
            )
            for address, token in zip(unique, tokens, strict=True)
        ]
        answers = await self._commands.run("acquire", calls)
        return {
            address: Lease(address, chain_id, token, number) if mine else Busy(number)
            for address, token, (mine, number) in zip(unique, tokens, answers, strict=True)
        }

    def _acquire_call(
        self, chain_id: ChainId, address: Address, token: str, seen: int | None
    ) -> ScriptCall:
        names = [
            self._keys.state(address, chain_id),
            self._keys.value(address, chain_id),
            self._keys.chain_flag(address, chain_id),
            self._keys.global_flag(address),
            self._keys.last_known(address, chain_id),
        ]
        if not self._keys.hash_tags:
            names.append(EPOCH)
        return names, (
            token,
            milliseconds(self._lives.lease_seconds),
            self._lives.state_ms,
            "" if seen is None else seen,
        )

    async def extend(self, leases: Sequence[Lease]) -> dict[Address, bool]:
        """Prolong leases that are still ours."""
        life = milliseconds(self._lives.lease_seconds)
        calls: list[ScriptCall] = [((self._state(lease),), (lease.token, life)) for lease in leases]
        answers = await self._commands.run("extend", calls)
        return {lease.address: answer == 1 for lease, answer in zip(leases, answers, strict=True)}

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back unused."""
        calls: list[ScriptCall] = [
            (
                (self._state(lease),),
                (lease.token, ENDED_CHANNEL, ended_message(lease.chain_id, lease.address)),
            )
            for lease in leases
        ]
        await self._commands.run("release", calls)

    async def remaining_ms(
        self, chain_id: ChainId, addresses: Sequence[Address]
    ) -> dict[Address, int]:
        """Return how long each predicate's present lease lasts; 0 without one."""
        calls: list[ScriptCall] = [
            ((self._keys.state(address, chain_id),), ()) for address in addresses
        ]
        answers = await self._commands.run("remaining", calls)
        return dict(zip(addresses, answers, strict=True))

    def _state(self, lease: Lease) -> str:
        return self._keys.state(lease.address, lease.chain_id)


def ended_message(chain_id: ChainId, address: Address) -> str:
    """What the channel says when a lease ends."""
    return f"{chain_id}:{address}"
