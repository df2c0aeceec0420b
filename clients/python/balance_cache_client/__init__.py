"""Client of balance-cache: warm up, invalidate, and read the balances of Fuel vaults."""

from balance_cache_client.client import BalanceCacheClient, Session
from balance_cache_client.errors import (
    BalanceCacheError,
    MalformedAnswerError,
    NotEnqueuedError,
    RefusedError,
    UnreachableError,
)
from balance_cache_client.outcomes import Invalidated, WarmUpOutcome
from balance_cache_client.stream import BalanceEvent

__all__ = [
    "BalanceCacheClient",
    "BalanceCacheError",
    "BalanceEvent",
    "Invalidated",
    "MalformedAnswerError",
    "NotEnqueuedError",
    "RefusedError",
    "Session",
    "UnreachableError",
    "WarmUpOutcome",
]
