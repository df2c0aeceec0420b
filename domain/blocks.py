"""What a follower of the chain knows about blocks."""

from __future__ import annotations

from dataclasses import dataclass

from domain.values import Address, BlockHeight


@dataclass(frozen=True, slots=True)
class BlockMark:
    """One block: its number and its own id, which no block of another chain has."""

    height: BlockHeight
    block_id: str


@dataclass(frozen=True, slots=True)
class BlockDigest:
    """What a block tells about balances.

    Attributes:
        mark: which block.
        owners: whose coins or messages it spent, and to whom it paid: at least everybody whose
            balances a transaction of it changed.
        has_events: L1 sent something with it; that changes balances without a transaction.
    """

    mark: BlockMark
    owners: frozenset[Address]
    has_events: bool


@dataclass(frozen=True, slots=True)
class ChainNews:
    """What a node tells a follower who stands at a block.

    Attributes:
        tip: the node's newest block.
        at_cursor: the id of its block at the follower's height; None: it has not got so far.
        at_origin: the id of its block at the height of the chain's known beginning.
        blocks: those after the follower's, without gaps; some of them, if there are many.
    """

    tip: BlockMark
    at_cursor: str | None
    at_origin: str | None
    blocks: tuple[BlockDigest, ...]
