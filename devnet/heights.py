"""Read-your-writes: a request may demand a block height, and every answer tells one.

"Current" is the height of the index of balances. A demand a little ahead is waited for, one far
ahead is refused at once.
"""

from __future__ import annotations

from typing import Any

from devnet.node import Node
from devnet.options import Limits
from devnet.parameters import CONSENSUS_PARAMETERS_VERSION, STATE_TRANSITION_VERSION

_REQUIRED = "required_fuel_block_height"
_LARGEST_U32 = 2**32 - 1


def required_height(extensions: dict[str, Any] | None) -> int | None:
    """Return what a request demands; whatever is no whole number is ignored."""
    required = (extensions or {}).get(_REQUIRED)
    if not isinstance(required, int) or isinstance(required, bool) or required < 0:
        return None
    return min(required, _LARGEST_U32)


def answer_extensions(node: Node) -> dict[str, Any]:
    """Return what every answer tells about the node, read after the execution."""
    return {
        "current_consensus_parameters_version": CONSENSUS_PARAMETERS_VERSION,
        "current_fuel_block_height": node.off_chain_height,
        "current_stf_version": STATE_TRANSITION_VERSION,
    }


async def refusal(node: Node, required: int | None, limits: Limits) -> dict[str, Any] | None:
    """Wait for the demanded height, or return the answer that refuses."""
    current = node.off_chain_height
    if required is None or current >= required:
        return None
    if current + limits.height_tolerance < required:
        return _far_behind(node, required, current)
    if await node.wait_for(required, limits.height_seconds):
        return None
    extensions = answer_extensions(node)
    error = {
        "message": "Failed to wait for the required fuel block height",
        "extensions": extensions,
    }
    return {"data": None, "extensions": extensions, "errors": [error]}


def _far_behind(node: Node, required: int, current: int) -> dict[str, Any]:
    extensions = {
        **answer_extensions(node),
        "current_fuel_block_height": current,
        "fuel_block_height_precondition_failed": True,
    }
    message = (
        "The required fuel block height is higher than the current block height. "
        f"Required: {required}, Current: {current}"
    )
    error = {"message": message, "extensions": extensions}
    return {"data": None, "extensions": extensions, "errors": [error]}
