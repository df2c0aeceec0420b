"""What a reader gets of balances that the cache has lost and the database still knows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from cache.memory import MemoryBalanceCache
from domain.errors import NodeOverloadedError, RegistryUnavailableError
from domain.ports import Served, Source
from domain.values import (
    Address,
    Balance,
    Fresh,
    Missing,
    Snapshot,
    Stale,
    StaleReason,
    StoredSnapshot,
)
from provider.cached import CachedProvider
from tests.cache_support import ALICE, BOB, asset
from tests.provider_support import (
    CHAIN,
    FailingCache,
    MakeReader,
    ScriptedProvider,
    is_fresh,
    until,
)

KEEP_SECONDS = 3_600.0


@dataclass
class Kept:
    """A database that knows some vaults, or does not answer."""

    ages: dict[Address, float] = field(default_factory=dict)
    asked: list[list[Address]] = field(default_factory=list)
    fails: bool = False
    hangs: bool = False

    async def last_known(
        self, chain_id: int, addresses: Collection[Address]
    ) -> Mapping[Address, StoredSnapshot]:
        self.asked.append(list(addresses))
        if self.fails:
            raise RegistryUnavailableError("no database")
        if self.hangs:
            await asyncio.Event().wait()
        now = time.time()
        return {
            who: StoredSnapshot(
                Snapshot(who, chain_id, (Balance(asset(1), 99),), height=7),
                timestamp_ms=int((now - self.ages[who]) * 1000),
                version=0,
            )
            for who in addresses
            if who in self.ages
        }


@pytest.fixture
def kept() -> Kept:
    return Kept({ALICE: 60.0})


@pytest.fixture
def cache() -> Any:
    return MemoryBalanceCache(chain_ids=(CHAIN,), lease_seconds=0.5)


@pytest.fixture
def reader(cache: Any, make_reader: MakeReader, kept: Kept) -> CachedProvider:
    return make_reader(cache, read_wait_seconds=3, durable=kept, keep_seconds=KEEP_SECONDS)


def restored(served: Served) -> bool:
    return (
        isinstance(served.answer, Stale)
        and served.answer.stored.snapshot.balances[0].amount == 99
        and served.source is Source.DATABASE
    )


async def test_what_the_cache_has_lost_is_answered_at_once_and_fetched_behind(
    reader: CachedProvider, node: ScriptedProvider, cache: Any
) -> None:
    goes_on = asyncio.Event()
    node.before_answer = goes_on.wait  # the node takes as long as it likes

    served = (await reader.read_many([ALICE], wait_seconds=30))[ALICE]

    assert restored(served)
    assert isinstance(served.answer, Stale)
    assert served.answer.reason is StaleReason.RESTORED
    assert 59_000 < served.answer.age_ms < 120_000
    goes_on.set()
    await until(lambda: is_fresh(cache, ALICE))


async def test_what_is_older_than_the_keep_life_is_fetched_and_is_the_last_resort(
    reader: CachedProvider, node: ScriptedProvider, kept: Kept
) -> None:
    kept.ages[ALICE] = KEEP_SECONDS + 60
    fetched = (await reader.read_many([ALICE]))[ALICE]
    assert isinstance(fetched.answer, Fresh)
    assert fetched.source is Source.NODE

    kept.ages[BOB] = KEEP_SECONDS + 60
    node.error = NodeOverloadedError("busy")
    served = (await reader.read_many([BOB]))[BOB]
    assert restored(served)
    assert isinstance(served.answer, Stale)
    assert served.answer.reason is StaleReason.NODE_DOWN


async def test_the_database_is_asked_for_what_is_missing_alone(
    reader: CachedProvider, kept: Kept
) -> None:
    await reader.read_many([BOB])  # not kept: fetched
    assert kept.asked == [[BOB]]

    await reader.read_many([BOB])
    assert kept.asked == [[BOB]]
    await reader.read_many([ALICE, BOB])
    assert kept.asked == [[BOB], [ALICE]]


@pytest.mark.parametrize("trouble", ["fails", "hangs"])
async def test_a_database_that_does_not_answer_costs_a_moment_and_no_answer(
    reader: CachedProvider, kept: Kept, trouble: str
) -> None:
    setattr(kept, trouble, True)

    served = (await reader.read_many([ALICE]))[ALICE]

    assert isinstance(served.answer, Fresh)
    assert served.source is Source.NODE


async def test_without_redis_and_without_a_node_the_database_answers(
    make_reader: MakeReader, node: ScriptedProvider, kept: Kept, cache: Any
) -> None:
    node.error = NodeOverloadedError("busy")
    away: Any = FailingCache(cache, "read")
    reader = make_reader(away, read_wait_seconds=1, durable=kept)

    served = await reader.read_many([ALICE, BOB])

    assert restored(served[ALICE])
    assert isinstance(served[BOB].answer, Missing)


async def test_what_an_invalidation_made_stale_is_not_looked_for_in_the_database(
    reader: CachedProvider, cache: Any, node: ScriptedProvider, kept: Kept
) -> None:
    await reader.read_many([BOB])
    await cache.invalidate([BOB], CHAIN, 9)
    kept.asked.clear()
    node.error = NodeOverloadedError("busy")

    served = (await reader.read_many([BOB]))[BOB]

    assert isinstance(served.answer, Stale)
    assert served.answer.reason is StaleReason.INVALIDATED
    assert kept.asked == []
