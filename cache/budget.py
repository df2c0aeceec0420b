"""The budget of node calls that all processes share, in Redis.

Keys, each with a life: ``bc:budget:{chain id}:rate`` (string, owner: the budget script) and
``bc:budget:{chain id}:calls`` (sorted set, the calls under way). The braces put both into one slot
of a cluster.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis

from cache.commands import Commands
from domain.budget import BudgetLimits
from domain.errors import BudgetExhaustedError, CacheUnavailableError
from domain.values import ChainId, Lane

CALL_LIFE_SECONDS = 30.0
"""After this a call whose process died gives its place back. No call lasts longer."""

_POLL_SECONDS = 0.05
_MICROSECONDS = 1_000_000


class RedisCallBudget:
    """`domain.ports.CallBudget` on Redis, by the generic cell rate algorithm."""

    def __init__(self, client: Redis, limits: BudgetLimits) -> None:
        self._commands = Commands(client)
        self._limits = limits

    @asynccontextmanager
    async def call(
        self, chain_id: ChainId, lane: Lane, *, timeout_seconds: float
    ) -> AsyncIterator[None]:
        """Hold the right to one call (see `domain.ports.CallBudget`)."""
        token = secrets.token_hex(8)
        deadline = time.monotonic() + timeout_seconds
        try:
            while wait := await self._take(chain_id, lane, token):
                if time.monotonic() + wait > deadline:
                    raise BudgetExhaustedError(
                        f"the budget of node calls leaves no place for {lane} "
                        f"in {timeout_seconds:.1f} s"
                    )
                await asyncio.sleep(wait)
            yield
        finally:
            # Also when the answer to our asking was lost: a place that was given is given back.
            with suppress(CacheUnavailableError):
                await self._commands.batch([("ZREM", _calls_key(chain_id), token)])

    async def _take(self, chain_id: ChainId, lane: Lane, token: str) -> float:
        """Take one call and return 0, or return how long to wait before asking again, seconds."""
        interval = _MICROSECONDS / self._limits.calls_per_second
        ahead = (self._limits.burst_of(lane) - 1) * interval
        life_of_rate = 1_000 + int(self._limits.burst * interval / 1_000)
        arguments = (
            token,
            int(interval),
            int(ahead),
            self._limits.under_way_of(lane),
            int(CALL_LIFE_SECONDS * 1000),
            life_of_rate,
        )
        keys = (_rate_key(chain_id), _calls_key(chain_id))
        answer = int((await self._commands.run("budget", [(keys, arguments)]))[0])
        if answer < 0:
            # Jitter: those who wait for a place must not all ask in the same moment.
            return random.uniform(_POLL_SECONDS / 2, _POLL_SECONDS)  # noqa: S311 - no secret
        return answer / _MICROSECONDS


def _rate_key(chain_id: ChainId) -> str:
    return f"bc:budget:{{{chain_id}}}:rate"


def _calls_key(chain_id: ChainId) -> str:
    return f"bc:budget:{{{chain_id}}}:calls"
