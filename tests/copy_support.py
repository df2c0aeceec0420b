"""What the tests of the in-process copy share: a store whose answers really come from the copy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from cache.local_copy import LocalCopy
from cache.store import RedisBalanceCache
from domain.values import Address, ChainId, Fresh, ReadAnswer
from tests.cache_support import MAINNET, TESTNET


def copy_of(cache: RedisBalanceCache) -> LocalCopy:
    assert cache._copy is not None
    return cache._copy


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.002)


async def until_read(ask: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not await ask():  # noqa: ASYNC110 - only a read can tell
            await asyncio.sleep(0.002)


async def all_told(cache: RedisBalanceCache) -> None:
    """Return when every change from before this call has been applied to the copy."""
    connection = copy_of(cache)._connection
    assert connection is not None
    told = asyncio.get_running_loop().create_future()
    connection.ask(("PING",), told.set_result)
    async with asyncio.timeout(10):
        await told


def held(cache: RedisBalanceCache, chain_id: ChainId, who: Sequence[Address]) -> dict[Any, Fresh]:
    return copy_of(cache).take(chain_id, who, cache._reading._clock.now_ms())


async def read_until_held(
    cache: RedisBalanceCache, who: Sequence[Address], chain_id: ChainId = MAINNET
) -> None:
    """Read as users do until all these fresh predicates are copied."""

    async def all_held() -> bool:
        await cache.read(chain_id, who)
        return len(held(cache, chain_id, who)) == len(set(who))

    await until_read(all_held)


def copied_cache(client: Redis, **changes: Any) -> RedisBalanceCache:
    given = {"chain_ids": (MAINNET, TESTNET), "jitter": 0, "copied_vaults": 1_000, **changes}
    return RedisBalanceCache(client, **given)


class EagerlyCopied(RedisBalanceCache):
    """Returns from a read only when what is fresh is copied: the next one is from the copy."""

    async def read(
        self, chain_id: ChainId, addresses: Sequence[Address], *, counted: bool = True
    ) -> Mapping[Address, ReadAnswer]:
        answers = await super().read(chain_id, addresses, counted=counted)
        if counted and answers:
            await self._copy_all(chain_id, answers)
        return answers

    async def _copy_all(self, chain_id: ChainId, answers: Mapping[Address, ReadAnswer]) -> None:
        copy = copy_of(self)
        await until(lambda: copy.is_connected)
        fresh = {
            address: answer
            for address, answer in answers.items()
            if isinstance(answer, Fresh) and not answer.due and not answer.stored.foreign
        }
        for _ in range(2):  # what is read twice is copied
            copy.learn(chain_id, fresh)
        await asyncio.sleep(0)
        await all_told(self)


def eagerly_copied_cache(client: Redis, **changes: Any) -> EagerlyCopied:
    given = {"chain_ids": (MAINNET, TESTNET), "jitter": 0, "copied_vaults": 1_000, **changes}
    return EagerlyCopied(client, **given)
