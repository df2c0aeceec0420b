"""Whether what the service needs answers, without letting the question become a load."""

from __future__ import annotations

import asyncio
import time

from domain.errors import ProviderError
from provider.node import NodeProvider

_CHECK_SECONDS = 2.0
"""How long a readiness check waits for a node: whoever asks has a deadline of his own."""

_GOOD_SECONDS = 5.0
_BAD_SECONDS = 0.5
"""How long an answer is remembered: anybody may ask, and a node must not be asked each time."""


class NodeWatch:
    """Knows whether a network's nodes are good, by asking them now and then."""

    def __init__(self, node: NodeProvider) -> None:
        self._node = node
        self._asking = asyncio.Lock()
        self._trouble: str | None = None
        self._known_until: float | None = None

    @property
    def name(self) -> str:
        """The network's name."""
        return self._node.network.name

    async def trouble(self) -> str | None:
        """Return what is wrong, None when a node answered and is of the right chain."""
        async with self._asking:
            if self._known_until is None or time.monotonic() >= self._known_until:
                self._trouble = await self._ask()
                life = _GOOD_SECONDS if self._trouble is None else _BAD_SECONDS
                self._known_until = time.monotonic() + life
            return self._trouble

    async def _ask(self) -> str | None:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                error = await verified(self._node)
        except TimeoutError:
            return f"no answer within {_CHECK_SECONDS:g} s"
        return None if error is None else f"{type(error).__name__}: {error}"


async def verified(node: NodeProvider) -> ProviderError | None:
    """Ask a network's nodes who they are; None: one answered, and none is of another chain."""
    try:
        await node.verify()
    except ProviderError as error:
        return error
    return None
