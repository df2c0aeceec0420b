"""A node: one of several that look at the chain, each from its own height."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass
from typing import TypeAlias

from graphql import GraphQLResolveInfo

from devnet.chain import Chain
from devnet.options import DevnetOptions
from domain.values import BlockHeight

_POLL_SECONDS = 0.005


@dataclass(slots=True)
class ReadView:
    """What one request sees: fixed before the request is parsed. A stream renews it.

    Attributes:
        chain: the chain.
        node: whose view it is.
        on_chain_height: of blocks and transactions.
        off_chain_height: of the index of balances; it follows the other.
        chain_id: what the node reports; another than the chain's when a fault says so.
        rows_before_swallowed_error: where iterations break off unnoticed; None: nowhere.
    """

    chain: Chain
    node: Node
    on_chain_height: BlockHeight
    off_chain_height: BlockHeight
    chain_id: int
    rows_before_swallowed_error: int | None = None

    def renew(self) -> None:
        """Look again: every event of a stream sees the chain as it is then."""
        self.on_chain_height = self.node.on_chain_height
        self.off_chain_height = self.node.off_chain_height


class Node:
    """One node. Its lags can be changed while it runs.

    Attributes:
        lag: blocks that its copy of the chain is behind.
        off_chain_lag: blocks that its index is behind its copy of the chain.
        off_chain_delay_ms: how long its index takes to follow.
        indexation: whether it keeps an index of balances.
    """

    def __init__(self, number: int, chain: Chain, options: DevnetOptions) -> None:
        self.number = number
        self.chain = chain
        self.options = options
        self.lag = options.lag_of(number)
        self.off_chain_lag = 0
        self.off_chain_delay_ms = options.off_chain_delay_ms
        self.indexation = options.indexation

    @property
    def on_chain_height(self) -> BlockHeight:
        """Return the newest block that it has."""
        return max(0, self.chain.height - self.lag)

    @property
    def off_chain_height(self) -> BlockHeight:
        """Return the height of its index: what it calls its current height."""
        height = max(0, self.on_chain_height - self.off_chain_lag)
        if self.off_chain_delay_ms:
            visible = time.monotonic() - self.off_chain_delay_ms / 1000
            while height and self.chain.blocks[height].imported_at > visible:
                height -= 1
        return height

    def view(self) -> ReadView:
        """Fix what a request sees."""
        return ReadView(
            self.chain, self, self.on_chain_height, self.off_chain_height, self.chain.chain_id
        )

    async def wait_for(self, height: BlockHeight, seconds: float) -> bool:
        """Wait until its index has reached a height; False when the time is over."""
        deadline = time.monotonic() + seconds
        while self.off_chain_height < height:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True


Info: TypeAlias = GraphQLResolveInfo[ReadView]
"""What a resolver is given: its context is the view."""


class NodePool:
    """The nodes behind one address, which answer in turn."""

    def __init__(self, chain: Chain, options: DevnetOptions) -> None:
        self.nodes = [Node(number, chain, options) for number in range(options.nodes)]
        self._turns = itertools.count()

    def next(self) -> Node:
        """Return the node whose turn it is."""
        return self.nodes[next(self._turns) % len(self.nodes)]

    def get(self, number: int) -> Node | None:
        """Return a node by its number."""
        return self.nodes[number] if 0 <= number < len(self.nodes) else None
