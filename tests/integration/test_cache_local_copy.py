"""The in-process copy on real servers: told of every change, dropped when nobody tells."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from cache.connection import connect
from cache.copies import TRUSTED_SECONDS, Copies, Question, Wanted
from cache.keys import EPOCH, Keys
from cache.store import RedisBalanceCache
from cache.tracking_connection import Server, TrackingConnection
from domain.errors import CacheUnavailableError, ConfigurationError
from domain.measures import NoMeasures
from domain.ports import Lease
from domain.values import Address, ChainId, Fresh, Missing, Stale
from supervisor.valkey import EmbeddedServer
from tests.cache_support import (
    ALICE,
    BOB,
    MAINNET,
    Harness,
    address,
    empty_client,
    redis_cache,
    snapshot,
)
from tests.copy_support import (
    all_told,
    copied_cache,
    copy_of,
    eagerly_copied_cache,
    held,
    read_until_held,
    until,
    until_read,
)
from tests.gap_support import Gap


@pytest.fixture
async def other(cache_server: EmbeddedServer) -> AsyncIterator[Harness]:
    """Another process: it has a client of its own and no copy."""
    client = await empty_client(cache_server)
    yield Harness(redis_cache(client), lambda: None)
    await client.aclose()


@pytest.fixture
async def cache(
    cache_server: EmbeddedServer,
    other: Harness,  # it empties the database first
) -> AsyncIterator[RedisBalanceCache]:
    cache = copied_cache(connect(cache_server.url()))
    yield cache
    await cache.aclose()


def ignore(_: object) -> None:
    return


async def execute(client: Any, *words: object) -> Any:
    """Send a command that the client has no method for."""
    return await client.execute_command(*words)


async def copy_links(client: Redis) -> list[str]:
    """The links of copies, as the server knows them: the others tell whose library they are."""
    return [link["id"] for link in await client.client_list() if not link.get("lib-name")]


async def commands_sent(client: Redis) -> int:
    return int((await client.info("commandstats")).get("cmdstat_mget", {}).get("calls", 0))


async def test_a_vault_that_is_read_again_costs_redis_nothing(
    cache: RedisBalanceCache, other: Harness
) -> None:
    await other.put(snapshot(ALICE, 7, height=3))
    await read_until_held(cache, [ALICE])

    # Only the reads between two heartbeats are looked at, so that nothing else is counted.
    copy_of(cache)._ask = ignore  # type: ignore[method-assign, assignment]  # no heartbeat now
    before = await commands_sent(cache._client)
    answers: list[Any] = [(await cache.read(MAINNET, [ALICE]))[ALICE] for _ in range(50)]

    assert await commands_sent(cache._client) == before
    assert {type(answer) for answer in answers} == {Fresh}
    assert {answer.stored.snapshot.balances[0].amount for answer in answers} == {7}


async def test_the_contract_is_shown_on_answers_of_the_copy(cache_server: EmbeddedServer) -> None:
    cache = eagerly_copied_cache(await empty_client(cache_server))
    await Harness(cache, lambda: None).put(snapshot(ALICE, 7, height=3))
    await cache.read(MAINNET, [ALICE])

    for _ in range(5):
        await cache.read(MAINNET, [ALICE])

    stats = await cache.stats()
    assert (stats["copied"], stats["hits"]) == (5, 6)
    await cache.aclose()


async def test_a_hit_in_the_copy_is_measured_as_a_hit(cache_server: EmbeddedServer) -> None:
    looks: list[dict[str, int]] = []

    class Looks(NoMeasures):
        def looked(self, chain_id: ChainId, **found: int) -> None:
            del chain_id
            looks.append(found)

    cache = eagerly_copied_cache(await empty_client(cache_server), measures=Looks())
    await Harness(cache, lambda: None).put(snapshot(ALICE, 7, height=3))
    await cache.read(MAINNET, [ALICE])
    looks.clear()

    await cache.read(MAINNET, [ALICE])

    assert looks == [{"hits": 1, "expired": 0, "invalidated": 0, "misses": 0}]
    await cache.aclose()


async def test_a_change_by_another_process_arrives_within_moments(
    cache: RedisBalanceCache, other: Harness
) -> None:
    await other.put(snapshot(ALICE, 7, height=3))
    await read_until_held(cache, [ALICE])

    await other.cache.invalidate([ALICE], MAINNET, 4)
    await all_told(cache)

    assert isinstance((await cache.read(MAINNET, [ALICE]))[ALICE], Stale)
    await other.put(snapshot(ALICE, 8, height=4))
    answer = (await cache.read(MAINNET, [ALICE]))[ALICE]
    assert isinstance(answer, Fresh)
    assert answer.stored.snapshot.height == 4


async def test_what_this_process_invalidates_is_not_fresh_in_the_very_next_read(
    cache: RedisBalanceCache, other: Harness
) -> None:
    for height in range(1, 40):
        await other.put(snapshot(ALICE, 7, height=height))
        await read_until_held(cache, [ALICE])

        await cache.invalidate([ALICE], MAINNET, height + 1)
        # Nothing was awaited since: no notice can have been applied.
        assert held(cache, MAINNET, [ALICE]) == {}
        assert isinstance((await cache.read(MAINNET, [ALICE]))[ALICE], Stale)


async def test_bakos_own_invalidation_drops_the_copy(
    cache: RedisBalanceCache, other: Harness
) -> None:
    await other.put(snapshot(ALICE, 7, height=3))
    await read_until_held(cache, [ALICE])

    client = cache._client
    await client.set(Keys().global_flag(ALICE), "1", ex=3_600)
    await all_told(cache)

    assert isinstance((await cache.read(MAINNET, [ALICE]))[ALICE], Stale)


async def test_who_decides_what_there_is_to_do_never_reads_the_copy(
    cache: RedisBalanceCache, other: Harness
) -> None:
    await other.put(snapshot(ALICE, 7, height=3))
    await read_until_held(cache, [ALICE])
    connection = copy_of(cache)._connection
    assert connection is not None
    connection._on_changed = ignore  # no notice arrives

    await other.cache.invalidate([ALICE], MAINNET, 4)

    assert isinstance((await cache.read(MAINNET, [ALICE], counted=False))[ALICE], Stale)


async def test_a_read_takes_from_the_copy_what_is_there_and_the_rest_from_redis(
    cache: RedisBalanceCache, other: Harness
) -> None:
    await other.put(snapshot(ALICE, 7, height=3))
    await read_until_held(cache, [ALICE])
    await other.put(snapshot(BOB, 9, height=3))

    answers = await cache.read(MAINNET, [address(3), ALICE, BOB])

    assert list(answers) == [address(3), ALICE, BOB]
    assert [type(answer) for answer in answers.values()] == [Missing, Fresh, Fresh]


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB"])
async def test_a_flush_empties_the_copy(own_server: EmbeddedServer, command: str) -> None:
    client, cache = connect(own_server.url()), copied_cache(connect(own_server.url()))
    await Harness(cache, lambda: None).put(snapshot(ALICE, 7, height=3))
    await read_until_held(cache, [ALICE])

    await execute(client, command)
    await all_told(cache)

    assert (await cache.read(MAINNET, [ALICE]))[ALICE] == Missing()
    await client.aclose()
    await cache.aclose()


async def test_a_new_connection_of_anybody_does_not_empty_the_copy(
    cache: RedisBalanceCache, other: Harness, cache_server: EmbeddedServer
) -> None:
    await other.put(snapshot(ALICE, 7, height=3))
    await read_until_held(cache, [ALICE])

    newcomer = connect(cache_server.url())  # names the server's history again
    await newcomer.get("x")
    await newcomer.aclose()

    await all_told(cache)
    await all_told(cache)  # the history's name was asked for meanwhile
    assert list(held(cache, MAINNET, [ALICE])) == [ALICE]


async def test_another_history_makes_what_is_copied_old(
    cache: RedisBalanceCache, other: Harness
) -> None:
    await other.put(snapshot(ALICE, 7, height=3))
    await read_until_held(cache, [ALICE])

    await cache._client.set(EPOCH, "another")
    await all_told(cache)
    await all_told(cache)

    assert isinstance((await cache.read(MAINNET, [ALICE]))[ALICE], Stale)


async def test_a_lost_connection_drops_the_copy_at_once_and_comes_back(
    cache: RedisBalanceCache, other: Harness
) -> None:
    await other.put(snapshot(ALICE, 7, height=3))
    await read_until_held(cache, [ALICE])
    connection = copy_of(cache)._connection
    assert connection is not None
    assert connection._transport is not None
    ended = asyncio.ensure_future(connection.wait_ended())

    port = connection._transport.get_extra_info("sockname")[1]
    await execute(cache._client, "CLIENT KILL", f"127.0.0.1:{port}")
    async with asyncio.timeout(5):
        await ended

    assert len(copy_of(cache)) == 0
    assert isinstance((await cache.read(MAINNET, [ALICE]))[ALICE], Fresh)
    await read_until_held(cache, [ALICE])


async def test_an_opened_link_leaves_no_task_and_a_closed_copy_no_link(
    cache_server: EmbeddedServer, other: Harness
) -> None:
    client = connect(cache_server.url())
    cache = copied_cache(connect(cache_server.url()))
    before = asyncio.all_tasks()
    link = await TrackingConnection.open(Server.of(client), ignore, lambda: None)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    link.close()
    await other.put(snapshot(ALICE, 7, height=3))
    await read_until_held(cache, [ALICE])
    assert len(await copy_links(client)) >= 1

    await cache.aclose()

    async def is_alone() -> bool:
        return not await copy_links(client)

    await until_read(is_alone)
    assert len(copy_of(cache)) == 0
    await client.aclose()


async def test_a_restarted_server_is_told_apart(own_server: EmbeddedServer, tmp_path: Path) -> None:
    cache = copied_cache(connect(own_server.url()))
    await Harness(cache, lambda: None).put(snapshot(ALICE, 7, height=3))
    await read_until_held(cache, [ALICE])
    await execute(cache._client, "SAVE")
    own_server.process.kill()
    own_server.process.wait()
    await until(lambda: len(copy_of(cache)) == 0)

    again = await asyncio.to_thread(
        EmbeddedServer.start, port=own_server.port, extra=("--dir", str(tmp_path))
    )
    try:
        await until(lambda: copy_of(cache).is_connected)
        await until(lambda: copy_of(cache)._copies.epoch is not None)
        assert isinstance((await cache.read(MAINNET, [ALICE]))[ALICE], Stale)
        await Harness(cache, lambda: None).put(snapshot(ALICE, 8, height=4))
        await read_until_held(cache, [ALICE])
    finally:
        await cache.aclose()
        again.stop()


async def test_a_stopped_server_is_believed_for_a_moment_only(own_server: EmbeddedServer) -> None:
    cache = copied_cache(connect(own_server.url()))
    await Harness(cache, lambda: None).put(snapshot(ALICE, 7, height=3))
    await read_until_held(cache, [ALICE])

    os.kill(own_server.process.pid, signal.SIGSTOP)
    loop = asyncio.get_running_loop()
    stopped = loop.time()
    await until(lambda: not held(cache, MAINNET, [ALICE]))

    assert loop.time() - stopped < TRUSTED_SECONDS + 1
    with pytest.raises(CacheUnavailableError):
        await cache.read(MAINNET, [ALICE])
    os.kill(own_server.process.pid, signal.SIGCONT)

    async def is_answered() -> bool:
        try:
            await cache.read(MAINNET, [ALICE])
        except CacheUnavailableError:  # it rests for a second more
            return False
        return True

    await until_read(is_answered)
    await read_until_held(cache, [ALICE])
    await cache.aclose()


async def test_a_link_that_is_half_open_is_noticed_and_replaced(
    cache_server: EmbeddedServer, other: Harness
) -> None:
    gap = Gap(cache_server.port)
    await other.put(snapshot(ALICE, 7, height=3))
    async with gap.listening() as port:
        cache = copied_cache(connect(cache_server.url()))
        copy = copy_of(cache)
        copy._server = replace(copy._server, port=port)
        await read_until_held(cache, [ALICE])
        old = copy._connection

        gap.cut()
        await other.cache.invalidate([ALICE], MAINNET, 4)
        invalidated = asyncio.get_running_loop().time()

        async def is_stale() -> bool:
            return isinstance((await cache.read(MAINNET, [ALICE]))[ALICE], Stale)

        await until_read(is_stale)
        assert asyncio.get_running_loop().time() - invalidated < TRUSTED_SECONDS + 1
        gap.heal()
        await other.put(snapshot(ALICE, 8, height=4))
        await until(lambda: copy.is_connected and copy._connection is not old)
        await read_until_held(cache, [ALICE])
        await cache.aclose()


async def test_a_server_that_does_not_track_is_read_without_a_copy(
    own_server: EmbeddedServer,
) -> None:
    admin = connect(own_server.url())
    await execute(
        admin,
        "ACL",
        "SETUSER",
        "plain",
        "on",
        ">pass:word",
        "~*",
        "&*",
        "+@all",
        "-client|tracking",
    )
    cache = copied_cache(connect(f"redis://plain:pass%3Aword@127.0.0.1:{own_server.port}/0"))
    harness = Harness(cache, lambda: None)
    await harness.put(snapshot(ALICE, 7, height=3))
    with capture_logs() as logged:
        assert isinstance(await harness.read(ALICE), Fresh)
        await until(lambda: bool(logged))

    await cache.invalidate([ALICE], MAINNET, 4)

    assert isinstance(await harness.read(ALICE), Stale)
    assert not copy_of(cache).is_connected
    assert [(one["log_level"], one["command"]) for one in logged] == [("warning", "CLIENT")]
    assert copy_of(cache)._refusal_logged, "once is enough: it asks again every few seconds"
    assert await copy_links(admin) == []
    await admin.aclose()
    await cache.aclose()


async def test_the_copy_logs_in_as_the_client_does_to_the_same_database(
    own_server: EmbeddedServer,
) -> None:
    admin = connect(own_server.url())
    await execute(admin, "ACL", "SETUSER", "reader", "on", ">pass:word", "~*", "&*", "+@all")
    cache = copied_cache(connect(f"redis://reader:pass%3Aword@127.0.0.1:{own_server.port}/3"))
    await Harness(cache, lambda: None).put(snapshot(ALICE, 7, height=3))

    await read_until_held(cache, [ALICE])

    assert "pass:word" not in repr(copy_of(cache)._server)
    await admin.aclose()
    await cache.aclose()


async def test_the_copy_works_over_a_unix_socket(tmp_path: Path) -> None:
    server = EmbeddedServer.start(extra=("--unixsocket", str(tmp_path / "redis")))
    cache = copied_cache(connect(f"unix://{tmp_path / 'redis'}?db=1"))
    await Harness(cache, lambda: None).put(snapshot(ALICE, 7, height=3))

    await read_until_held(cache, [ALICE])

    await cache.aclose()
    server.stop()


@pytest.mark.parametrize(
    "url", ["redis+cluster://127.0.0.1:1", "redis+sentinel://:secret@127.0.0.1:1/service/0"]
)
async def test_a_copy_of_more_than_one_server_is_refused_in_words(url: str) -> None:
    client = connect(url)
    with pytest.raises(ConfigurationError, match="LOCAL_COPY") as caught:
        copied_cache(client)
    assert "secret" not in str(caught.value)
    await client.aclose()


async def test_a_copy_with_hash_tags_is_refused_in_words(cache_server: EmbeddedServer) -> None:
    client = connect(cache_server.url())
    with pytest.raises(ConfigurationError, match="REDIS_HASH_TAGS"):
        copied_cache(client, hash_tags=True)
    await client.aclose()


VAULTS = [address(number) for number in range(1, 31)]


async def stress(cache: RedisBalanceCache, writer: Harness) -> list[Address]:
    """Read and write as fast as can be, let it come to rest, and return what is wrong then."""
    chance = random.Random(7)
    for who in VAULTS:
        await writer.put(snapshot(who, 1, height=1))
    await read_until_held(cache, VAULTS)
    is_over = False

    async def read() -> None:
        while not is_over:
            await cache.read(MAINNET, chance.sample(VAULTS, 10))
            await asyncio.sleep(0.001)

    async def write() -> None:
        for height in range(2, 202):
            who = chance.choice(VAULTS)
            if height % 3 == 0:
                await writer.cache.invalidate([who], MAINNET, height)
            lease = (await writer.cache.acquire(MAINNET, [who]))[who]
            assert isinstance(lease, Lease)
            await writer.cache.publish([(lease, snapshot(who, height, height=height))])

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(read())
        await tasks.create_task(write())
        is_over = True
    await all_told(cache)
    await asyncio.sleep(0)
    truth = await writer.cache.read(MAINNET, VAULTS)
    copied = held(cache, MAINNET, VAULTS)
    assert copied, "nothing is copied: nothing was shown"
    return [
        who for who, answer in copied.items() if answer.stored != getattr(truth[who], "stored", 0)
    ]


async def test_after_a_storm_of_reads_and_writes_nothing_that_is_copied_is_old(
    cache: RedisBalanceCache, other: Harness
) -> None:
    assert await stress(cache, other) == []


async def test_the_storm_finds_a_copy_that_keeps_what_changed_meanwhile(
    cache: RedisBalanceCache, other: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Copies.answer

    def late(copies: Copies, question: Question, texts: list[bytes | None]) -> None:
        """Keep the answer after what came behind it, as a coroutine that waited for it might."""

        def keep() -> None:
            question.wanted = {
                place: Wanted(wanted.known, 0) for place, wanted in question.wanted.items()
            }
            answer(copies, question, texts)

        asyncio.get_running_loop().call_later(0.1, keep)

    def drop(copies: Copies, who: Address) -> None:
        copies._held.pop(who, None)

    monkeypatch.setattr(Copies, "answer", late)
    monkeypatch.setattr(Copies, "_drop", drop)

    assert await stress(cache, other) != []
