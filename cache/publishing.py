"""Publishing, invalidation and clearing: every change of what readers see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cache import keys as names
from cache.checks import check_invalidation, check_lease_permits
from cache.codec import encode
from cache.commands import Commands, ScriptCall
from cache.keys import Keys
from cache.leases import ended_message
from cache.lives import Lives, milliseconds
from domain.ports import Lease, PublishOutcome
from domain.values import Address, BlockHeight, ChainId, Snapshot

CHANGES_LENGTH = 10_000
"""About how many changes the stream keeps."""


class Published(NamedTuple):
    """What became of a publish, and when the snapshot is due for a refresh, if it was stored."""

    outcome: PublishOutcome
    due_in_ms: int = 0


class Publishing:
    """Runs the scripts that change what readers see; many predicates in one round trip."""

    def __init__(
        self, commands: Commands, keys: Keys, lives: Lives, chain_ids: Sequence[ChainId]
    ) -> None:
        self._commands = commands
        self._keys = keys
        self._lives = lives
        self._keep_ms, self._state_ms = lives.keep_ms, lives.state_ms
        self._chain_ids = tuple(chain_ids)

    async def publish(self, leased: Sequence[tuple[Lease, Snapshot]]) -> dict[Address, Published]:
        """Store each snapshot if its lease still permits it."""
        for lease, snapshot in leased:
            check_lease_permits(lease, snapshot)
        calls = [self._publish_call(lease, snapshot) for lease, snapshot in leased]
        answers = await self._commands.run("publish", calls)
        return {
            lease.address: Published(PublishOutcome(outcome.decode()), *due_in_ms)
            for (lease, _), (outcome, _, *due_in_ms) in zip(leased, answers, strict=True)
        }

    def _publish_call(self, lease: Lease, snapshot: Snapshot) -> ScriptCall:
        address, chain_id = lease.address, lease.chain_id
        fresh_ms = self._lives.draw_fresh_ms()
        ahead_ms = self._lives.ahead_ms(fresh_ms)
        encoded = encode(snapshot, fresh_ms - ahead_ms)
        upper = snapshot.height if snapshot.height_upper is None else snapshot.height_upper
        others = [c for c in self._chain_ids if c != chain_id]
        keys = [
            self._keys.state(address, chain_id),
            self._keys.value(address, chain_id),
            self._keys.chain_flag(address, chain_id),
            self._keys.global_flag(address),
            self._keys.last_known(address, chain_id),
            *(self._keys.chain_flag(address, other) for other in others),
        ]
        if not self._keys.hash_tags:
            keys += [
                names.EPOCH,
                self._keys.due(chain_id),
                names.CHANGES,
                self._keys.floor(chain_id),
            ]
        return keys, (
            lease.token,
            snapshot.height,
            max(snapshot.height, upper),
            "" if encoded.is_too_large else encoded.until_timestamp,
            encoded.until_epoch,
            encoded.until_version,
            fresh_ms,
            self._keep_ms,
            self._state_ms,
            ahead_ms,
            names.ENDED_CHANNEL,
            ended_message(chain_id, address),
            address,
            chain_id,
            len(others),
            CHANGES_LENGTH,
            self._keep_ms,
            self._lives.probation_fresh_ms,
            int(encoded.is_too_large),
        )

    async def invalidate(
        self, addresses: Sequence[Address], chain_id: ChainId | None, height: BlockHeight | None
    ) -> None:
        """Declare what is stored wrong, and what is true below the height."""
        check_invalidation(chain_id, height)
        calls = [
            self._invalidate_call(address, chain_id, height) for address in dict.fromkeys(addresses)
        ]
        await self._commands.run("invalidate", calls)

    def _invalidate_call(
        self, address: Address, chain_id: ChainId | None, height: BlockHeight | None
    ) -> ScriptCall:
        chains = self._chains(chain_id)
        keys = [self._keys.global_flag(address)]
        for chain in chains:
            keys += (
                self._keys.state(address, chain),
                self._keys.value(address, chain),
                self._keys.chain_flag(address, chain),
                self._keys.transaction_refresh(address, chain),
            )
        if not self._keys.hash_tags:
            keys += [names.CHANGES, *(self._keys.due(chain) for chain in chains)]
        return keys, (
            "" if height is None else height,
            milliseconds(self._lives.flag_seconds),
            milliseconds(self._lives.transaction_cache_seconds),
            self._state_ms,
            int(chain_id is None),
            names.ENDED_CHANNEL,
            address,
            CHANGES_LENGTH,
            self._keep_ms,
            int(not self._keys.hash_tags),
            self._lives.probation_ms,
            *chains,
        )

    async def require(self, chain_id: ChainId, height: BlockHeight) -> None:
        """Publish nothing of this chain any more that is true below the height."""
        check_invalidation(chain_id, height)
        if self._keys.hash_tags:
            return
        call = ((self._keys.floor(chain_id),), (height, self._lives.state_ms))
        await self._commands.run("require", [call])

    async def clear(self, addresses: Sequence[Address], chain_id: ChainId | None) -> int:
        """Forget snapshots; returns how many keys went."""
        calls: list[ScriptCall] = [
            (
                (
                    self._keys.state(address, chain),
                    self._keys.value(address, chain),
                    self._keys.last_known(address, chain),
                ),
                (),
            )
            for address in dict.fromkeys(addresses)
            for chain in self._chains(chain_id)
        ]
        return sum(await self._commands.run("clear", calls))

    async def clear_invalidation(
        self, addresses: Sequence[Address], chain_id: ChainId | None
    ) -> None:
        """Drop the drop-in flags, and the values that stood under them."""
        chains = self._chains(chain_id)
        others = [c for c in self._chain_ids if c not in chains]
        calls: list[ScriptCall] = []
        for address in dict.fromkeys(addresses):
            keys = [self._keys.global_flag(address)]
            for chain in chains:
                keys += (
                    self._keys.chain_flag(address, chain),
                    self._keys.value(address, chain),
                    self._keys.state(address, chain),
                )
            keys += (self._keys.chain_flag(address, other) for other in others)
            calls.append((keys, (names.ENDED_CHANNEL, address, *chains)))
        await self._commands.run("clear_flags", calls)

    def _chains(self, chain_id: ChainId | None) -> tuple[ChainId, ...]:
        return self._chain_ids if chain_id is None else (chain_id,)
