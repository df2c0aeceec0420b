"""A reader whose cache is away or switched off asks the node itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from domain.errors import CacheUnavailableError, NodeOverloadedError
from domain.ports import Served, Source
from domain.values import Lane, Missing
from tests.cache_support import ALICE
from tests.provider_support import FailingCache, MakeReader, ScriptedProvider, amount, until


@pytest.mark.parametrize("away", ["*", "acquire", "publish"])
async def test_without_redis_the_node_is_asked_directly(
    make_reader: MakeReader, cache: Any, node: ScriptedProvider, away: str
) -> None:
    reader = make_reader(FailingCache(cache, away), read_wait_seconds=3)
    served = (await reader.read_many([ALICE]))[ALICE]
    assert (amount(served), served.source) == (5, Source.NODE)


async def test_without_redis_simultaneous_readers_share_one_fetch(
    make_reader: MakeReader, cache: Any, node: ScriptedProvider
) -> None:
    reader = make_reader(FailingCache(cache, "*"), read_wait_seconds=3)
    gate = asyncio.Event()
    node.before_answer = gate.wait
    reads = [asyncio.ensure_future(reader.read_many([ALICE])) for _ in range(50)]
    await until(lambda: bool(node.calls))
    gate.set()
    assert {amount((await read)[ALICE]) for read in reads} == {5}
    assert len(node.calls) == 1


async def test_without_redis_and_without_the_node_a_vault_is_missing(
    make_reader: MakeReader, cache: Any, node: ScriptedProvider
) -> None:
    node.error = NodeOverloadedError("503")
    reader = make_reader(FailingCache(cache, "*"), read_wait_seconds=1)
    assert (await reader.read_many([ALICE]))[ALICE] == Served(Missing(), Source.NODE)
    with pytest.raises(CacheUnavailableError):
        await reader.refill([ALICE], lane=Lane.WARMUP)
    with pytest.raises(NodeOverloadedError):
        await reader.get_balances_force_refresh(ALICE)


async def test_switched_off_the_cache_is_neither_read_nor_written(
    make_reader: MakeReader, cache: Any, node: ScriptedProvider
) -> None:
    watched = FailingCache(cache)
    reader = make_reader(watched, enabled=False)
    for _ in range(2):
        served = (await reader.read_many([ALICE]))[ALICE]
        assert (amount(served), served.source) == (5, Source.NODE)
    assert (await reader.get_balances_force_refresh(ALICE)).address == ALICE
    assert await reader.refill([ALICE], lane=Lane.WARMUP) == {}
    assert watched.used == []
    assert len(node.calls) == 3
