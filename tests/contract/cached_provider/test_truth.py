"""What is served as fresh is true; what is not fresh says why, whatever the node does."""

from __future__ import annotations

from typing import Any

import pytest

from cache.memory import MemoryBalanceCache
from domain.errors import (
    MalformedAnswerError,
    NodeBehindError,
    NodeOverloadedError,
    TransientProviderError,
)
from domain.values import Fresh, Missing, Stale, StaleReason
from provider.cached import CachedProvider
from tests.cache_support import ALICE, BOB, ManualClock
from tests.provider_support import CHAIN, MakeReader, ScriptedProvider, amount, put


async def test_what_was_fetched_before_an_invalidation_is_never_served_as_fresh(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    async def a_payment_is_confirmed() -> None:
        if node.amounts[ALICE] == 5:
            node.amounts[ALICE] = 50
            await cache.invalidate([ALICE], CHAIN, 77)

    node.before_answer = a_payment_is_confirmed
    served = (await reader.read_many([ALICE]))[ALICE]
    assert isinstance(served.answer, Fresh)
    assert amount(served) == 50
    assert node.required == [0, 77]


async def test_a_predicate_that_is_invalidated_in_every_fetch_is_stale_and_the_node_is_spared(
    cache: Any, reader: CachedProvider, node: ScriptedProvider
) -> None:
    async def invalidate() -> None:
        await cache.invalidate([ALICE], CHAIN)

    node.before_answer = invalidate
    served = (await reader.read_many([ALICE]))[ALICE]
    assert isinstance(served.answer, Stale)
    assert served.answer.reason is StaleReason.INVALIDATED
    assert len(node.calls) == 3
    with pytest.raises(TransientProviderError, match="kept changing"):
        await reader.get_balances(ALICE)
    with pytest.raises(TransientProviderError, match="not accepted"):
        await reader.get_balances_force_refresh(ALICE)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NodeOverloadedError("429"), StaleReason.NODE_DOWN),
        (NodeBehindError(90, 80), StaleReason.NODE_BEHIND),
        (MalformedAnswerError("wrong"), StaleReason.NODE_DOWN),
    ],
)
async def test_a_node_failure_costs_one_attempt_and_is_never_a_balance(
    cache: Any,
    reader: CachedProvider,
    node: ScriptedProvider,
    error: Any,
    reason: StaleReason,
) -> None:
    await put(cache, node, BOB)
    await cache.invalidate([BOB], CHAIN)
    node.error = error
    served = await reader.read_many([ALICE, BOB])
    assert served[ALICE].answer == Missing()
    stale = served[BOB].answer
    assert isinstance(stale, Stale)
    assert stale.reason in {reason, StaleReason.INVALIDATED}
    assert node.calls == [(ALICE, BOB)]
    with pytest.raises(type(error)):
        await reader.get_balances(ALICE)
    with pytest.raises(type(error)):
        await reader.get_balances_force_refresh(ALICE)
    assert len(node.calls) == 3


@pytest.mark.parametrize(
    ("error", "expired", "invalidated"),
    [
        (NodeOverloadedError("429"), StaleReason.NODE_DOWN, StaleReason.INVALIDATED),
        (NodeBehindError(90, 80), StaleReason.NODE_BEHIND, StaleReason.NODE_BEHIND),
    ],
)
async def test_the_reason_says_why_it_is_stale_and_never_hides_an_invalidation(
    make_reader: MakeReader,
    node: ScriptedProvider,
    error: Any,
    expired: StaleReason,
    invalidated: StaleReason,
) -> None:
    clock = ManualClock()
    cache = MemoryBalanceCache(clock, chain_ids=(CHAIN,), fresh_seconds=60)
    reader = make_reader(cache)
    await put(cache, node, ALICE, BOB)
    clock.step(61)
    await cache.invalidate([BOB], CHAIN)
    node.error = error
    served = await reader.read_many([ALICE, BOB])
    reasons = [one.answer.reason for one in served.values() if isinstance(one.answer, Stale)]
    assert reasons == [expired, invalidated]
