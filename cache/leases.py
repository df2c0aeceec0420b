"""Leases: who may fetch and publish, who waits."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cache.commands import PORTION, Commands, ScriptCall
from cache.keys import ENDED_CHANNEL, EPOCH, Keys
from cache.lives import Lives, milliseconds
from domain.ports import Busy, Lease
from domain.values import Address, ChainId


class _Wish(NamedTuple):
    """Somebody asks for a lease; callers with the same wish ask together."""

    chain_id: ChainId
    address: Address
    seen: int | None


@dataclass(slots=True)
class _Offer:
    """What was answered to those who asked together: one of them at most gets the lease.

    It goes to the first who is there to take it, so that a caller who was cancelled meanwhile
    does not keep it from the others.
    """

    lease: Lease | None
    wait_ms: int

    def take(self) -> Lease | Busy:
        lease, self.lease = self.lease, None
        return Busy(self.wait_ms) if lease is None else lease


class Leases:
    """Takes, extends and gives back leases; many in one round trip."""

    def __init__(self, commands: Commands, keys: Keys, lives: Lives) -> None:
        self._commands = commands
        self._keys = keys
        self._lease_ms, self._state_ms = milliseconds(lives.lease_seconds), lives.state_ms
        self._epoch = () if keys.hash_tags else (EPOCH,)
        self._offers = commands.shared(self._ask_for_leases, most=PORTION)
        self._remaining = commands.shared(self._ask_remaining, most=PORTION)

    async def acquire(
        self,
        chain_id: ChainId,
        addresses: Sequence[Address],
        seen: Mapping[Address, int] | None = None,
    ) -> dict[Address, Lease | Busy]:
        """Ask for the lease of each predicate."""
        wishes = [
            _Wish(chain_id, address, None if seen is None else seen.get(address))
            for address in dict.fromkeys(addresses)
        ]
        offers = await self._offers.ask(wishes)
        return {wish.address: offer.take() for wish, offer in zip(wishes, offers, strict=True)}

    async def _ask_for_leases(self, wishes: Sequence[_Wish]) -> list[_Offer]:
        batch = secrets.token_hex(16)  # asking the system for each would cost more than packing it
        tokens = [f"{batch}.{place}" for place in range(len(wishes))]
        calls = [
            self._acquire_call(wish.chain_id, wish.address, token, wish.seen)
            for wish, token in zip(wishes, tokens, strict=True)
        ]
        answers = await self._commands.run("acquire", calls)
        lease_ms = self._lease_ms
        return [
            _Offer(Lease(wish.address, wish.chain_id, token, number, lease_ms), lease_ms)
            if mine
            else _Offer(None, number)
            for wish, token, (mine, number) in zip(wishes, tokens, answers, strict=True)
        ]

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
        floor = (self._keys.floor(chain_id),) if self._epoch else ()
        return [*names, *self._epoch, *floor], (
            token,
            self._lease_ms,
            self._state_ms,
            "" if seen is None else seen,
        )

    async def extend(self, leases: Sequence[Lease]) -> dict[Address, bool]:
        """Prolong leases that are still ours."""
        calls: list[ScriptCall] = [
            ((self._state(lease), *self._epoch), (lease.token, self._lease_ms)) for lease in leases
        ]
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
        unique = list(dict.fromkeys(addresses))
        left = await self._remaining.ask([(chain_id, address) for address in unique])
        return dict(zip(unique, left, strict=True))

    async def _ask_remaining(self, predicates: Sequence[tuple[ChainId, Address]]) -> list[int]:
        calls: list[ScriptCall] = [
            ((self._keys.state(address, chain_id), *self._epoch), ())
            for chain_id, address in predicates
        ]
        return await self._commands.run("remaining", calls)

    def _state(self, lease: Lease) -> str:
        return self._keys.state(lease.address, lease.chain_id)


def ended_message(chain_id: ChainId, address: Address) -> str:
    """What the channel says when a lease ends."""
    return f"{chain_id}:{address}"
