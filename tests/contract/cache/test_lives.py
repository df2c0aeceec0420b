"""How long a snapshot of every `BalanceCache` is fresh, and how long it is kept."""

from __future__ import annotations

from domain.values import Fresh, Missing, Stale, StaleReason
from tests.cache_support import ALICE, BOB, Make, snapshot


async def test_the_end_of_fresh_life_makes_it_stale_never_missing(make: Make) -> None:
    harness = make(fresh_seconds=0.5)
    await harness.put(snapshot(ALICE, 9))

    async def is_stale() -> bool:
        return isinstance(await harness.read(ALICE), Stale)

    await harness.until(is_stale)
    answer = await harness.read(ALICE)
    assert answer.reason is StaleReason.EXPIRED
    # The age is told by an estimate of the server's clock, behind it by the delay of one answer.
    assert answer.age_ms > 0
    assert answer.stored.snapshot == snapshot(ALICE, 9)


async def test_the_end_of_keep_life_makes_it_missing(make: Make) -> None:
    harness = make(fresh_seconds=0.05, keep_seconds=0.1)
    await harness.put(snapshot(ALICE))

    async def is_missing() -> bool:
        return isinstance(await harness.read(ALICE), Missing)

    await harness.until(is_missing)


async def test_after_its_soft_life_a_fresh_snapshot_is_due(make: Make) -> None:
    harness = make(fresh_seconds=3_600, refresh_ahead_seconds=3_599)
    await harness.put(snapshot(ALICE))
    early = make(fresh_seconds=0.4, refresh_ahead_seconds=0.3)

    async def is_due() -> bool:
        answer = await early.read(BOB)
        if not isinstance(answer, Fresh):  # whoever looks too late begins again
            await early.put(snapshot(BOB))
            return False
        return answer.due

    await early.until(is_due)
    assert not (await harness.read(ALICE)).due, "never due in the first half of its life"
