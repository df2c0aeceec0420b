"""Pays for the demo page: on the simulated nodes of the configured networks, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from secrets import randbelow
from urllib.parse import urlsplit

import httpx

from cli.demo.nodes import SimulatedNode
from devnet.options import BASE_ASSET_ID
from domain.errors import PaymentError
from domain.networks import Network
from domain.values import Address, AssetId, BlockHeight

_LEAST, _MOST = 5_000_000, 80_000_000
"""What is paid, in base units: a visible part of what a vault of the demo holds."""


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment that is in a block."""

    transaction_id: str
    block_height: BlockHeight
    asset_id: AssetId
    amount: int


class SimulatedPayer:
    """Pays on a network whose first node is a simulated one."""

    async def pay(self, network: Network, sender: Address, receiver: Address) -> Payment:
        """Let one vault pay another a random amount; return when the payment is in a block.

        Raises:
            PaymentError: the node is not a simulated one of this network, or refuses.
        """
        parts = urlsplit(network.urls[0])
        node = SimulatedNode(f"{parts.scheme}://{parts.netloc}")
        amount = _LEAST + randbelow(_MOST - _LEAST)
        try:
            if await node.chain_id() != network.chain_id:
                raise PaymentError("The node of this network is no simulated one.")
            confirmed = await node.transfer(sender, receiver, BASE_ASSET_ID, amount)
        except httpx.HTTPStatusError as error:
            why = f"The node of this network refuses: {error.response.status_code}."
            raise PaymentError(why) from error
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise PaymentError("The node of this network is no simulated one.") from error
        finally:
            await node.close()
        return Payment(confirmed.transaction_id, confirmed.block_height, BASE_ASSET_ID, amount)
