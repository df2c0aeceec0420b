"""What each node of a network says of itself at this moment, for people."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from domain.errors import ProviderError, WrongChainError
from domain.networks import Network
from domain.values import BlockHeight, Lane
from provider.endpoint import Endpoint

_QUERY = (
    "query NodeReport{chain{latestBlock{height header{time}}consensusParameters{chainId}}"
    "nodeInfo{nodeVersion indexation{balances}}}"
)
_TAI64_OF_1970 = 2**62 + 10
"""Fuel writes times as TAI64 labels, with the ten leap seconds before 1972."""


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node.

    Attributes:
        url: its address without credentials.
        error: why nothing is known of it; None: it answered.
        version: of its program.
        height: its newest block.
        block_age_seconds: how old that block is, by our clock.
        indexation: it keeps an index of balances, so that one request carries many vaults.
        answer_seconds: how long it took to say so.
    """

    url: str
    error: str | None = None
    version: str | None = None
    height: BlockHeight | None = None
    block_age_seconds: float | None = None
    indexation: bool | None = None
    answer_seconds: float | None = None


async def report_nodes(network: Network, timeout_seconds: float) -> Sequence[NodeReport]:
    """Ask every node of a network once, all at the same time; costs no budget."""
    return await asyncio.gather(*(_report(network, url, timeout_seconds) for url in network.urls))


async def _report(network: Network, url: str, timeout_seconds: float) -> NodeReport:
    endpoint = Endpoint(url, network, connections=1)
    begun = time.monotonic()
    try:
        envelope = await endpoint.query(
            {"query": _QUERY, "operationName": "NodeReport"}, 0, timeout_seconds, Lane.AUDIT
        )
        return _read(endpoint.public_url, network, envelope.data, time.monotonic() - begun)
    except ProviderError as error:
        return NodeReport(endpoint.public_url, error=f"{type(error).__name__}: {error}")
    finally:
        await endpoint.close()


def _read(url: str, network: Network, data: Mapping[str, Any], seconds: float) -> NodeReport:
    try:
        block = data["chain"]["latestBlock"]
        chain_id = int(data["chain"]["consensusParameters"]["chainId"])
        height = int(block["height"])
        made_at = int(block["header"]["time"]) - _TAI64_OF_1970
    except (KeyError, TypeError, ValueError):
        return NodeReport(url, error="MalformedAnswerError: an answer of another shape")
    if chain_id != network.chain_id:
        wrong = WrongChainError(url, network.chain_id, chain_id)
        return NodeReport(url, error=f"WrongChainError: {wrong}")
    indexation = None
    with suppress(KeyError, TypeError):
        indexation = bool(data["nodeInfo"]["indexation"]["balances"])
    return NodeReport(
        url,
        version=str(data.get("nodeInfo", {}).get("nodeVersion", "")),
        height=height,
        block_age_seconds=max(0.0, time.time() - made_at),
        indexation=indexation,
        answer_seconds=seconds,
    )
