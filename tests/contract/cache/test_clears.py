"""What every `BalanceCache` forgets when an operator clears it, and what it does not."""

from __future__ import annotations

from domain.values import Missing
from tests.cache_support import ALICE, MAINNET, TESTNET, Make, snapshot


async def test_clear_forgets_the_snapshot_but_not_the_height_demanded(make: Make) -> None:
    harness = make()
    await harness.cache.invalidate([ALICE], MAINNET, 20)
    await harness.put(snapshot(ALICE, height=25))

    gone = await harness.cache.clear([ALICE], MAINNET)

    assert gone == 2
    assert await harness.read(ALICE) == Missing()
    assert (await harness.lease(ALICE)).required_height == 20


async def test_clear_without_a_chain_forgets_every_chain(make: Make) -> None:
    harness = make()
    for chain_id in (MAINNET, TESTNET):
        await harness.put(snapshot(ALICE, chain_id=chain_id))

    assert await harness.cache.clear([ALICE, ALICE]) == 4
    assert await harness.cache.clear([ALICE]) == 0


async def test_versions_go_on_after_a_clear(make: Make) -> None:
    """A version names one snapshot: who has seen it must be able to tell it from the next."""
    harness = make()
    for height in (1, 2):
        await harness.put(snapshot(ALICE, height=height))

    await harness.cache.clear([ALICE])
    await harness.put(snapshot(ALICE, height=1))

    assert (await harness.read(ALICE)).stored.version == 3
