"""Redis that is gone, hung, cut off or full: said soon, never wrong, and back by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from cache.connection import connect
from cache.rest import rest_of
from cache.sessions import SessionStore
from cache.store import RedisBalanceCache
from domain.errors import CacheUnavailableError, ConfigurationError
from domain.ports import BalanceCache, Lease
from domain.values import Fresh
from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer
from tests.cache_support import (
    ALICE,
    MAINNET,
    Harness,
    MakeCache,
    StartServer,
    address,
    hung,
    snapshot,
)
from tests.gap_support import Gap

SOMEBODYS = Lease(ALICE, MAINNET, "token", 0)

OPERATIONS: list[Callable[[BalanceCache], Awaitable[object]]] = [
    lambda cache: cache.read(MAINNET, [ALICE]),
    lambda cache: cache.acquire(MAINNET, [ALICE]),
    lambda cache: cache.extend([SOMEBODYS]),
    lambda cache: cache.publish([(SOMEBODYS, snapshot(ALICE))]),
    lambda cache: cache.release([SOMEBODYS]),
    lambda cache: cache.wait_published(MAINNET, [ALICE], 5),
    lambda cache: cache.invalidate([ALICE]),
    lambda cache: cache.clear([ALICE]),
    lambda cache: cache.clear_invalidation([ALICE]),
    lambda cache: cache.mark_read(MAINNET, [ALICE]),
    lambda cache: cache.due(MAINNET, 5),
    lambda cache: cache.stats(),
]

NAMES = (
    *("read", "acquire", "extend", "publish", "release", "wait"),
    *("invalidate", "clear", "clear flags", "mark read", "due", "stats"),
)


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
async def test_without_redis_every_operation_says_so_soon(
    operation: Callable[[BalanceCache], Awaitable[object]],
    make_cache: MakeCache,
) -> None:
    client = connect(f"redis://user:secret@127.0.0.1:{free_port()}/0")
    cache = make_cache(client)

    async with asyncio.timeout(5):
        with pytest.raises(CacheUnavailableError) as caught:
            await operation(cache)

    assert "secret" not in str(caught.value)


async def test_a_hung_redis_is_given_up_within_a_bound(
    own_server: EmbeddedServer,
    own_client: Redis,
    make_cache: MakeCache,
) -> None:
    cache = make_cache(own_client)
    await cache.read(MAINNET, [ALICE])

    with hung(own_server):
        started = time.monotonic()
        with pytest.raises(CacheUnavailableError):
            await cache.read(MAINNET, [ALICE])
        took = time.monotonic() - started

    assert took < 4
    await Harness(cache, lambda: None).until(lambda: _is_answered(cache), seconds=20)


async def test_one_timeout_speaks_for_all_who_share_the_client_and_one_at_a_time_tries_again(
    own_server: EmbeddedServer,
    own_client: Redis,
    make_cache: MakeCache,
) -> None:
    """A hundred questions after the first one do not wait one after the other."""
    cache, sessions = make_cache(own_client), SessionStore(own_client)
    await cache.read(MAINNET, [ALICE])
    told: list[bool] = []
    rest_of(own_client).told = lambda *, is_resting: told.append(is_resting)

    with hung(own_server):
        with pytest.raises(CacheUnavailableError, match="TimeoutError"):
            await cache.read(MAINNET, [ALICE])
        reasons = []
        async with asyncio.timeout(30):
            for _ in range(100):
                with pytest.raises(CacheUnavailableError) as caught:
                    await sessions.get("token")
                reasons.append(str(caught.value))
        trials = [reason for reason in reasons if "TimeoutError" in reason]
        assert len(trials) < 10, "or each of them has waited"
        with pytest.raises(CacheUnavailableError):
            await cache.invalidate([ALICE])

    await Harness(cache, lambda: None).until(lambda: _is_answered(cache), seconds=20)
    assert told == [True, False]


async def test_links_that_the_network_has_forgotten_are_not_used_after_the_recovery(
    cache_server: EmbeddedServer,
    make_cache: MakeCache,
) -> None:
    """Each would cost somebody a timeout."""
    gap = Gap(cache_server.port)
    async with gap.listening() as port:
        cache = make_cache(connect(f"redis://127.0.0.1:{port}/0"))

        async def use_every_link() -> None:
            await asyncio.gather(*(cache.invalidate([ALICE]) for _ in range(16)))

        await use_every_link()
        gap.cut()
        gap.heal()  # for new connections
        with pytest.raises(CacheUnavailableError):
            await cache.invalidate([ALICE])
        await Harness(cache, lambda: None).until(lambda: _is_answered(cache), seconds=20)

        await use_every_link()


async def _is_answered(cache: RedisBalanceCache) -> bool:
    try:
        await cache.read(MAINNET, [ALICE])
    except CacheUnavailableError:
        return False
    return True


async def test_a_full_server_that_evicts_answers_nothing_wrong(
    tmp_path: Path,
    start_server: StartServer,
    make_cache: MakeCache,
) -> None:
    server = await asyncio.to_thread(start_server, memory="4mb", extra=("--dir", str(tmp_path)))
    client = connect(server.url())
    harness = Harness(make_cache(client), lambda: None)
    crowd = [address(number) for number in range(4_000)]
    for at in range(0, len(crowd), 500):
        part = crowd[at : at + 500]
        leases = await harness.cache.acquire(MAINNET, part)
        await harness.cache.publish(
            [(lease, snapshot(who, 7)) for who, lease in leases.items() if isinstance(lease, Lease)]
        )
    await harness.cache.invalidate(crowd[::2], MAINNET)

    answers = await harness.cache.read(MAINNET, crowd)

    evicted = (await client.info("stats"))["evicted_keys"]
    assert evicted > 0, "or this proves nothing"
    assert not any(isinstance(answers[who], Fresh) for who in crowd[::2])


@pytest.mark.parametrize("url", ["", "127.0.0.1", "http://:secret@host", "redis://h:99999999"])
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL") as caught:
        connect(url)

    assert "secret" not in str(caught.value)
