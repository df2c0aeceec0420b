"""Everything that one running devnet is made of."""

from __future__ import annotations

from devnet.chain import Chain
from devnet.connections import Connections
from devnet.execution import Executor
from devnet.faults import FaultPlan
from devnet.latency import Latency
from devnet.node import NodePool
from devnet.options import DevnetOptions
from devnet.request_log import RequestLog
from devnet.state_file import load_balances


class Devnet:
    """A chain, the nodes that look at it, and what is known about their callers.

    Attributes:
        latency: of every request; replaced as a whole when it changes.
    """

    def __init__(self, options: DevnetOptions | None = None) -> None:
        self.options = options or DevnetOptions()
        self.chain = Chain(self.options.chain_id, self.options.base_asset_id)
        if self.options.state_file is not None:
            self.chain.set_balances(load_balances(self.options.state_file))
        self.nodes = NodePool(self.chain, self.options)
        self.executor = Executor(self.options.limits)
        self.log = RequestLog()
        self.faults = FaultPlan()
        self.connections = Connections()
        self.latency = Latency(milliseconds=self.options.latency_ms)
