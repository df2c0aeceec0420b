"""What a follower keeps of one chain: his lease and how far he is, in Redis and the database."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from cache.cursor import FollowerState
from domain.blocks import BlockMark
from domain.errors import BalanceCacheError, RegistryUnavailableError
from domain.values import BlockHeight
from runtime.following import FollowedChain

DURABLE_BLOCKS = 10
"""How many blocks the cursor in the database may be behind: reading them again costs a request."""

_REPORT_SECONDS = 30.0
_log = structlog.get_logger("tasks")

Change = Callable[[FollowerState], FollowerState]


class LeaseLostError(BalanceCacheError):
    """Somebody else follows the chain by now."""


class Kept:
    """The state of one follower; whatever changes it is written before it counts.

    Attributes:
        state: how far he is.
        now_ms: Redis's time at the last write.
        tip: the chain's newest block, as he saw it last.
    """

    def __init__(self, chain: FollowedChain) -> None:
        self._chain = chain
        self._token = secrets.token_hex(8)
        self.state = FollowerState()
        self.now_ms = 0
        self.tip: BlockHeight | None = None
        self._saving = asyncio.Lock()
        self._reported: dict[str, float] = {}

    async def begin(self) -> bool:
        """Become the follower; False: somebody else is.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        begun = await self._chain.cursors.begin(self._chain.chain_id, self._token)
        if begun is None:
            return False
        self.now_ms, self.state = begun
        return True

    async def save(self, change: Change | None = None, *, ends: bool = False) -> None:
        """Change the state, in the store first; prolong the lease, or end it."""
        async with self._saving:  # the walk beside the blocks changes it too
            state = self.state if change is None else change(self.state)
            now_ms = await self._chain.cursors.save(
                self._chain.chain_id, self._token, state, tip=self.tip, ends=ends
            )
            if now_ms is None:
                raise LeaseLostError("somebody else follows the chain")
            self.now_ms, self.state = now_ms, state

    async def load_durably(self) -> tuple[BlockMark, BlockMark] | None:
        """Return the database's cursor and origin; None: it has none, or is away."""
        try:
            return await self._chain.durable.load(self._chain.chain_id)
        except RegistryUnavailableError as error:
            self.complain("follow.no_durable_cursor", reason=str(error))
            return None

    async def keep_durably(self) -> None:
        """Write the cursor into the database, now and then."""
        cursor, origin = self.state.cursor, self.state.origin
        if cursor is None or origin is None:
            return
        if 0 <= cursor.height - self.state.durable_height < DURABLE_BLOCKS:
            return
        try:
            await self._chain.durable.save(self._chain.chain_id, cursor, origin)
        except RegistryUnavailableError as error:
            self.complain("follow.no_durable_cursor", reason=str(error))
        await self.save(lambda state: replace(state, durable_height=cursor.height))

    def note(self, event: str, **fields: object) -> None:
        """Log what has happened."""
        _log.info(event, chain_id=self._chain.chain_id, **fields)

    def complain(self, event: str, **fields: object) -> None:
        """Log what may go on for hours twice a minute, not twice a second."""
        now = time.monotonic()
        if now - self._reported.get(event, float("-inf")) >= _REPORT_SECONDS:
            self._reported[event] = now
            _log.warning(event, chain_id=self._chain.chain_id, **fields)
