"""What the follower of one chain works with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from cache.cursor import FollowerCursors
from cache.watched import WatchedPredicates
from domain.events import EventLog
from domain.ports import BalanceCache
from domain.values import ChainId
from provider.blocks import ChainReader
from registry.follower import DurableCursors
from registry.snapshots import DurableSnapshots
from registry.store import Registry


@dataclass(frozen=True, slots=True)
class FollowedChain:
    """The parts of one chain's follower.

    Attributes:
        chain_id: the chain.
        reader: its blocks.
        cache: where what changed is declared wrong.
        cursors: how far it was followed.
        durable: the same in the database, now and then.
        snapshots: the last known balances in the database.
        watched: whom the cache holds something of.
        registry: who else is a predicate of ours.
        vault_log: where it is told why they changed.
        following: held while this process follows it.
    """

    chain_id: ChainId
    reader: ChainReader
    cache: BalanceCache
    cursors: FollowerCursors
    durable: DurableCursors
    snapshots: DurableSnapshots
    watched: WatchedPredicates
    registry: Registry
    vault_log: EventLog
    following: asyncio.Lock = field(default_factory=asyncio.Lock)
