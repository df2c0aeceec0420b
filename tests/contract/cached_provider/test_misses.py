"""Who misses together fetches once, and who comes later is served from the cache."""

from __future__ import annotations

import asyncio
from typing import Any

from domain.ports import BalanceReader, Source
from domain.values import Fresh
from provider.cached import CachedProvider
from tests.cache_support import ALICE, BOB, address
from tests.provider_support import NETWORK, MakeReader, ScriptedProvider, amount, put, until


def test_the_wrapper_is_a_reader(reader: CachedProvider) -> None:
    typed: BalanceReader = reader
    assert typed.network is NETWORK


async def test_a_miss_is_fetched_once_and_then_served_from_the_cache(
    reader: CachedProvider, node: ScriptedProvider
) -> None:
    first = (await reader.read_many([ALICE]))[ALICE]
    second = (await reader.read_many([ALICE]))[ALICE]
    assert (amount(first), first.source) == (5, Source.NODE)
    assert (amount(second), second.source) == (5, Source.CACHE)
    assert isinstance(first.answer, Fresh)
    assert node.calls == [(ALICE,)]


async def test_many_misses_are_one_fetch(reader: CachedProvider, node: ScriptedProvider) -> None:
    addresses = [address(n) for n in range(10)]
    served = await reader.read_many([*addresses, ALICE])
    assert list(served) == addresses
    assert node.calls == [tuple(addresses)]


async def test_an_empty_vault_is_a_hit_like_any_other(
    reader: CachedProvider, node: ScriptedProvider
) -> None:
    node.amounts[ALICE] = 0
    for _ in range(2):
        assert (await reader.get_balances(ALICE)).balances == ()
    assert len(node.calls) == 1


async def test_readers_of_several_processes_share_one_fetch(
    make_reader: MakeReader, cache: Any, node: ScriptedProvider
) -> None:
    readers = [make_reader(cache, read_wait_seconds=3) for _ in range(5)]
    started = asyncio.Event()
    node.before_answer = started.wait
    reads = [asyncio.ensure_future(reader.read_many([ALICE, BOB])) for reader in readers]
    await until(lambda: bool(node.calls))
    started.set()
    for read in reads:
        assert {who: amount(served) for who, served in (await read).items()} == {ALICE: 5, BOB: 7}
    # One of them may win the lease of one vault and another that of the other.
    assert sorted(who for call in node.calls for who in call) == [ALICE, BOB]


async def test_a_stampede_of_readers_in_several_processes_fetches_once(
    make_reader: MakeReader, cache: Any, node: ScriptedProvider
) -> None:
    """Who missed before the publish and asks for the lease after it reads again."""
    readers = [make_reader(cache, read_wait_seconds=10) for _ in range(4)]

    async with asyncio.timeout(20):
        answers = await asyncio.gather(
            *(readers[number % 4].read_many([ALICE]) for number in range(400))
        )

    assert {amount(served[ALICE]) for served in answers} == {5}
    assert {type(served[ALICE].answer) for served in answers} == {Fresh}
    assert node.calls == [(ALICE,)]


async def test_a_reader_who_missed_before_anothers_publish_does_not_fetch(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    """The publish lands between its look at the cache and its wish for the lease."""
    acquire = cache.acquire

    async def late(*given: Any, **named: Any) -> Any:
        cache.acquire = acquire
        await put(cache, node, ALICE)
        return await acquire(*given, **named)

    cache.acquire = late

    served = (await reader.read_many([ALICE]))[ALICE]

    assert isinstance(served.answer, Fresh)
    assert served.source is Source.CACHE
    assert node.calls == []
