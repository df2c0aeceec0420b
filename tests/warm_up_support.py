"""What the tests of the shelf of warm-ups share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis

from cache.warm_ups import WarmUps
from domain.values import Address

Make = Callable[..., WarmUps]


def addresses(count: int, first: int = 0) -> list[Address]:
    return [f"0x{number:064x}" for number in range(first, first + count)]


async def let_end(redis: Redis, key: str) -> None:
    """Let the times of all in a sorted set be over."""
    names: Any = await redis.zrange(key, 0, -1)
    assert names
    await redis.zadd(key, dict.fromkeys(names, 1))
