"""What every implementation of the cache refuses before it changes anything."""

from __future__ import annotations

from domain.errors import InvalidValueError
from domain.ports import Lease
from domain.values import BlockHeight, ChainId, Snapshot, check_block_height


def check_lease_permits(lease: Lease, snapshot: Snapshot) -> None:
    """Refuse a snapshot of another predicate or chain than its lease.

    Raises:
        InvalidValueError: they differ.
    """
    if (lease.address, lease.chain_id) != (snapshot.address, snapshot.chain_id):
        raise InvalidValueError(
            f"a lease of {lease.address} on chain {lease.chain_id} does not permit to publish "
            f"{snapshot.address} on chain {snapshot.chain_id}"
        )


def check_invalidation(chain_id: ChainId | None, height: BlockHeight | None) -> None:
    """Refuse a height without a chain, or one that no chain can have.

    Raises:
        InvalidValueError: so it is.
    """
    if height is None:
        return
    if chain_id is None:
        raise InvalidValueError("a block height needs the chain id that it counts on")
    check_block_height(height)
