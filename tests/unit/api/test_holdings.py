from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api.allocation import allocate
from api.holdings import split_holdings
from api.pricing import Pricing
from domain.values import Balance

ASSETS = ["0x" + digit * 64 for digit in "abcdef"]
amounts = st.integers(0, 2**128 - 1) | st.integers(0, 3)
vaults = st.dictionaries(st.sampled_from(ASSETS), amounts).map(
    lambda held: [Balance(asset_id, amount) for asset_id, amount in held.items()]
)
pricings = st.builds(
    Pricing,
    prices=st.dictionaries(st.sampled_from(ASSETS), st.floats(0, 1e6)),
    units=st.dictionaries(st.sampled_from(ASSETS), st.integers(0, 18)),
    verified=st.frozensets(st.sampled_from(ASSETS)),
)


@given(vaults, st.dictionaries(st.sampled_from(ASSETS), amounts), pricings)
def test_nothing_is_lost_or_invented_by_taking_off_what_is_reserved(
    balances: list[Balance], reserved: dict[str, int], pricing: Pricing
) -> None:
    holdings = split_holdings(balances, reserved, pricing)

    held = {b.asset_id: b.amount for b in balances}
    left = {b.asset_id: b.amount for b in (*holdings.current, *holdings.nfts)}
    assert all(amount > 0 for amount in left.values())
    for asset_id, amount in held.items():
        assert left.get(asset_id, 0) == max(0, amount - reserved.get(asset_id, 0))
    assert {b.asset_id: b.amount for b in holdings.total} == {
        asset_id: amount for asset_id, amount in held.items() if amount
    }
    assert {b.asset_id: b.amount for b in holdings.reserved} == reserved


@given(st.lists(vaults, max_size=5), pricings)
def test_an_allocation_shares_out_its_total(many: list[list[Balance]], pricing: Pricing) -> None:
    allocation = allocate(many, pricing)

    assert len(allocation.by_vault) == len(many)
    assert len(allocation.shares) <= 4
    assert abs(sum(allocation.by_vault) - allocation.total) <= 1e-9 * allocation.total
    if allocation.total > 0:
        assert abs(sum(share.percentage for share in allocation.shares) - 100) < 1e-6
    else:
        assert allocation.shares == ()
    known = [share.percentage for share in allocation.shares if share.asset_id is not None]
    assert known == sorted(known, reverse=True)
    assert all(share.asset_id is not None for share in allocation.shares[:3])
