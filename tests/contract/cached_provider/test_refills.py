"""Forced refreshes and refills: asked of the node whatever the cache knows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from domain.errors import NodeOverloadedError, VaultTooLargeError
from domain.ports import Busy, PublishOutcome, Refilled, RefillFailed
from domain.values import Lane, Missing
from provider.cached import CachedProvider
from tests.cache_support import ALICE, BOB
from tests.provider_support import CHAIN, FailingCache, MakeReader, ScriptedProvider, put, until


async def test_a_forced_refresh_asks_the_node_although_the_cache_is_fresh(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    await put(cache, node, ALICE)
    node.amounts[ALICE] = 6
    assert (await reader.get_balances(ALICE)).balances[0].amount == 5
    assert (await reader.get_balances_force_refresh(ALICE)).balances[0].amount == 6
    assert (await reader.get_balances(ALICE)).balances[0].amount == 6


async def test_a_forced_refresh_never_returns_what_another_fetch_began_before_it(
    reader: CachedProvider, node: ScriptedProvider
) -> None:
    gate = asyncio.Event()
    node.before_answer = gate.wait
    read = asyncio.ensure_future(reader.read_many([ALICE]))
    await until(lambda: bool(node.calls))
    node.amounts[ALICE] = 6
    forced = asyncio.ensure_future(reader.get_balances_force_refresh(ALICE))
    gate.set()
    await read
    assert (await forced).balances[0].amount == 6


async def test_a_refill_says_what_became_of_each_predicate(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    await cache.acquire(CHAIN, [BOB])
    await cache.invalidate([ALICE], CHAIN, 33)
    outcomes = await reader.refill([ALICE, BOB], lane=Lane.INVALIDATION, required_height=30)
    assert isinstance(outcomes[ALICE], Refilled)
    assert isinstance(outcomes[BOB], Busy)
    assert node.required == [33]
    assert node.lanes == [Lane.INVALIDATION]
    node.error = NodeOverloadedError("429")
    outcomes = await reader.refill([ALICE], lane=Lane.WARMUP)
    assert outcomes[ALICE] == RefillFailed(node.error)


async def test_a_refill_that_is_refused_because_of_a_newer_snapshot_is_not_repeated(
    make_reader: MakeReader, cache: Any, node: ScriptedProvider
) -> None:
    class Older(FailingCache):
        async def publish(self, leased: Any) -> Any:
            return {lease.address: PublishOutcome.OLDER_THAN_STORED for lease, _ in leased}

    older = make_reader(Older(cache))
    outcome = (await older.refill([ALICE], lane=Lane.WARMUP))[ALICE]
    assert isinstance(outcome, RefillFailed)
    assert outcome.error is PublishOutcome.OLDER_THAN_STORED
    assert len(node.calls) == 1


async def test_a_vault_that_is_too_large_to_keep_is_an_error_at_once(
    reader: CachedProvider, cache: Any, node: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cache.codec.MAX_VALUE_BYTES", 150)
    served = (await reader.read_many([ALICE]))[ALICE]
    outcome = (await reader.refill([ALICE], lane=Lane.WARMUP))[ALICE]
    assert served.answer == Missing()
    assert isinstance(outcome, RefillFailed)
    assert isinstance(outcome.error, VaultTooLargeError)
    assert len(node.calls) == 2, "each of them asked once"
    with pytest.raises(VaultTooLargeError):
        await reader.get_balances(ALICE)
    assert (await cache.stats())["too_large"] == 3
