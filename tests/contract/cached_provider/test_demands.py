"""Readers who demand a height or an age: met, refused or pending, and told so."""

from __future__ import annotations

import asyncio
from typing import Any

from domain.errors import NodeBehindError
from domain.ports import Demand, Unmet
from domain.values import Fresh, Missing, Stale, StaleReason
from provider.cached import CachedProvider
from tests.cache_support import ALICE, BOB
from tests.provider_support import (
    CHAIN,
    FailingCache,
    MakeReader,
    ScriptedProvider,
    amount,
    put,
    until,
)


async def test_a_height_that_is_known_already_costs_nothing_and_a_greater_one_is_asked_for(
    reader: CachedProvider, cache: Any, node: ScriptedProvider
) -> None:
    await reader.read_many([ALICE, BOB], demand=Demand(min_height=20))
    asked = list(node.required)
    node.calls.clear()

    known = await reader.read_many([ALICE, BOB], demand=Demand(min_height=20))
    assert node.calls == []
    node.amounts[ALICE] = 6
    later = await reader.read_many([ALICE, BOB], demand=Demand(min_height=21))

    assert asked == [20]
    assert node.required[-1] == 21
    assert [amount(one) for one in known.values()] == [5, 7]
    assert [amount(one) for one in later.values()] == [6, 7]
    assert {one.unmet for one in (*known.values(), *later.values())} == {None}


async def test_a_node_without_the_height_refuses_and_what_there_is_stays_fresh(
    reader: CachedProvider, cache: Any, node: ScriptedProvider
) -> None:
    await put(cache, node, ALICE)
    node.error = NodeBehindError(99, 10)

    refused = (await reader.read_many([ALICE, BOB], demand=Demand(min_height=99)))[ALICE]
    unknown = (await reader.read_many([BOB], demand=Demand(min_height=99)))[BOB]
    plain = (await reader.read_many([ALICE]))[ALICE]

    assert isinstance(refused.answer, Fresh)
    assert (amount(refused), refused.unmet) == (5, Unmet.REFUSED)
    assert (unknown.answer, unknown.unmet) == (Missing(), Unmet.REFUSED)
    assert isinstance(plain.answer, Fresh)
    assert plain.unmet is None


async def test_a_reader_without_time_gets_what_there_is_and_the_fetch_goes_on(
    reader: CachedProvider, cache: Any, node: ScriptedProvider
) -> None:
    await put(cache, node, ALICE)
    node.amounts[ALICE] = 6
    gate = asyncio.Event()
    node.before_answer = gate.wait

    pending = (await reader.read_many([ALICE], wait_seconds=0, demand=Demand(min_height=30)))[ALICE]
    gate.set()
    await until(lambda: has_height(cache, 30))
    met = (await reader.read_many([ALICE], wait_seconds=0, demand=Demand(min_height=30)))[ALICE]

    assert (amount(pending), pending.unmet) == (5, Unmet.PENDING)
    assert (amount(met), met.unmet) == (6, None)
    assert len(node.calls) == 1


async def has_height(cache: Any, height: int) -> bool:
    answer = (await cache.read(CHAIN, [ALICE], counted=False))[ALICE]
    return isinstance(answer, Fresh) and answer.stored.snapshot.height >= height


async def test_what_is_older_than_demanded_is_fetched_again_once(
    reader: CachedProvider, cache: Any, node: ScriptedProvider
) -> None:
    await put(cache, node, ALICE)
    node.amounts[ALICE] = 6

    young = (await reader.read_many([ALICE], demand=Demand(max_age_ms=60_000)))[ALICE]
    assert node.calls == []
    renewed = (await reader.read_many([ALICE], demand=Demand(max_age_ms=-1)))[ALICE]

    assert (amount(young), amount(renewed)) == (5, 6)
    assert (young.unmet, renewed.unmet) == (None, None)
    assert len(node.calls) == 1


async def test_an_invalidated_vault_is_not_called_fresh_whatever_its_height(
    reader: CachedProvider, cache: Any, node: ScriptedProvider
) -> None:
    await reader.read_many([ALICE], demand=Demand(min_height=50))
    await cache.invalidate([ALICE], CHAIN, 51)
    node.error = NodeBehindError(51, 50)

    served = (await reader.read_many([ALICE], demand=Demand(min_height=50)))[ALICE]

    assert isinstance(served.answer, Stale)
    assert served.answer.reason is StaleReason.NODE_BEHIND
    assert served.unmet is None  # true at that height, and known to be old


async def test_without_a_cache_a_demand_is_judged_by_what_the_node_tells(
    make_reader: MakeReader, cache: Any, node: ScriptedProvider
) -> None:
    away = make_reader(FailingCache(cache, "*"), read_wait_seconds=3)
    off = make_reader(cache, read_wait_seconds=3, enabled=False)

    blind = (await away.read_many([ALICE], demand=Demand(min_height=40)))[ALICE]
    asked = (await off.read_many([ALICE], demand=Demand(min_height=40, max_age_ms=1_000)))[ALICE]

    assert (amount(blind), blind.unmet) == (5, None)
    assert (amount(asked), asked.unmet) == (5, None)
    assert node.required == [40, 40]
