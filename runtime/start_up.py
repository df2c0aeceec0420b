"""What a program refuses before it serves: nodes of another chain than configured."""

from __future__ import annotations

import asyncio

import structlog

from config.settings import Settings
from domain.errors import ConfigurationError, ProviderError, WrongChainError
from provider.node import NodeProvider

_SECONDS = 2.0
_log = structlog.get_logger(__name__)


async def refuse_wrong_chains(settings: Settings) -> None:
    """Ask every network's nodes for their chain id, for two seconds at most.

    A node that does not answer is no reason not to start: the cache can serve without it, and
    every later request to it checks the chain id first.

    Raises:
        ConfigurationError: a node serves another chain than FUEL_NETWORKS says.
    """
    nodes = [
        NodeProvider(network, timeout_seconds=_SECONDS, concurrency=1)
        for network in settings.fuel_networks
    ]
    try:
        await asyncio.gather(*(_check(node) for node in nodes))
    finally:
        for node in nodes:
            await node.close()


async def _check(node: NodeProvider) -> None:
    try:
        await node.verify()
    except WrongChainError as error:
        raise ConfigurationError(f"FUEL_NETWORKS: {error}") from None
    except ProviderError as error:
        _log.warning("node_unknown", network=node.network.name, why=type(error).__name__)
