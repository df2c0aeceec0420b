"""What the person who starts a devnet decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from domain.errors import ConfigurationError, InvalidValueError
from domain.values import AssetId, ChainId, check_chain_id, parse_asset_id

BASE_ASSET_ID = "0xf8f8b6283d7fa5b672b530cbb84fcccb4ff8dc40f8176ef4544ddb1f1952ad07"
"""ETH's asset id on Fuel's public networks and on a local `fuel-core run`."""

DEFAULT_PORT = 4000
"""The port of a local `fuel-core run`."""

_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Limits:
    """What a node refuses; the defaults are fuel-core's own.

    Attributes:
        complexity: the highest cost of a query (`--graphql-max-complexity`).
        depth: the deepest nesting of fields.
        recursion: the deepest nesting of selection sets, fragments included.
        directives: directives on one field.
        body_bytes: the largest request body.
        request_seconds: after it a request is answered 408 with no body.
        height_tolerance: a required height at most that far ahead is waited for.
        height_seconds: how long it is waited for.
    """

    complexity: int = 80_000
    depth: int = 16
    recursion: int = 24
    directives: int = 10
    body_bytes: int = 1_048_576
    request_seconds: float = 30.0
    height_tolerance: int = 10
    height_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class DevnetOptions:
    """How a devnet is started.

    Attributes:
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        chain_id: what the nodes report; 0 is a real chain id.
        chain_name: what the nodes call their chain.
        base_asset_id: the asset that pays fees.
        block_seconds: a block is made that often; 0: only on demand.
        latency_ms: every GraphQL request takes at least that long, however much it asks for.
        indexation: whether the nodes keep an index of balances.
        off_chain_delay_ms: how long the index follows behind the chain.
        nodes: how many nodes answer in turn behind the one address.
        lags: blocks that each node is behind the chain, in the order of the nodes.
        expensive_subscriptions: whether the alpha subscriptions are served.
        limits: what is refused.
        state_file: JSON with balances that accounts have from the beginning.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    chain_id: ChainId = 0
    chain_name: str = "Local testnet"
    base_asset_id: AssetId = BASE_ASSET_ID
    block_seconds: float = 1.0
    latency_ms: float = 0.0
    indexation: bool = True
    off_chain_delay_ms: float = 0.0
    nodes: int = 1
    lags: tuple[int, ...] = ()
    expensive_subscriptions: bool = False
    limits: Limits = field(default_factory=Limits)
    state_file: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ConfigurationError: a value is out of its range; the message names it.
        """
        checks = {
            "--port is 0 to 65535": 0 <= self.port <= _MAX_PORT,
            "--block-seconds is not negative": self.block_seconds >= 0,
            "--latency-ms is not negative": self.latency_ms >= 0,
            "--off-chain-delay-ms is not negative": self.off_chain_delay_ms >= 0,
            "--nodes is at least 1": self.nodes >= 1,
            "--lag has at most one number per node": len(self.lags) <= self.nodes,
            "--lag is not negative": all(lag >= 0 for lag in self.lags),
        }
        for rule, holds in checks.items():
            if not holds:
                raise ConfigurationError(f"devnet: {rule}")
        try:
            check_chain_id(self.chain_id)
            object.__setattr__(self, "base_asset_id", parse_asset_id(self.base_asset_id))
        except InvalidValueError as error:
            raise ConfigurationError(f"devnet: {error}") from error

    def lag_of(self, node: int) -> int:
        """Return how many blocks the node of that number starts behind the chain."""
        return self.lags[node] if node < len(self.lags) else 0
