"""Laws of the devnet: pages lose nothing, and no transaction makes or destroys an amount."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from devnet.balances import balance_listing
from devnet.chain import AccountBalance, Chain
from devnet.options import BASE_ASSET_ID, DevnetOptions
from devnet.paging import Listing, PageArguments, page
from devnet.state import Devnet
from devnet.transactions import OutputKind
from domain.errors import InvalidValueError

OWNERS = ["0x" + digit * 64 for digit in "abc"]
ASSETS = [BASE_ASSET_ID, *("0x" + digit * 64 for digit in "019f")]
AMOUNTS = st.integers(0, 2**70)


def walk(listing: Listing[dict[str, str]], size: int, *, forwards: bool) -> list[str]:
    """Follow all pages, and return the asset ids in the order in which they came."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        arguments: dict[str, Any] = {"first": size, "after": cursor}
        if not forwards:
            arguments = {"last": size, "before": cursor}
        fetched = page(listing, PageArguments(**arguments))
        found += [node["assetId"] for node in fetched["nodes"]]
        if not fetched["pageInfo"]["hasNextPage"]:
            return found
        cursor = fetched["pageInfo"]["endCursor"]


@given(
    held=st.dictionaries(
        st.sampled_from(ASSETS) | st.integers(1, 99).map("0x{:064x}".format), AMOUNTS
    ),
    size=st.integers(1, 7),
    forwards=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_pages_of_any_size_hold_every_row_once_and_in_order(
    held: dict[str, int], size: int, forwards: bool
) -> None:
    devnet = Devnet(DevnetOptions())
    devnet.chain.set_balances(
        [AccountBalance(OWNERS[0], asset_id, amount) for asset_id, amount in held.items()]
    )
    rows = {asset_id for asset_id, amount in held.items() if amount or asset_id != BASE_ASSET_ID}
    expected = sorted(rows, key=lambda asset_id: (asset_id != BASE_ASSET_ID, asset_id))
    listing = balance_listing(devnet.nodes.next().view(), OWNERS[0])
    assert walk(listing, size, forwards=forwards) == expected[:: 1 if forwards else -1]


PAYMENTS = st.tuples(
    st.sampled_from(OWNERS),
    st.sampled_from(OWNERS),
    st.sampled_from(ASSETS[:2]),
    st.integers(0, 2**66),
    st.sampled_from([OutputKind.COIN, OutputKind.VARIABLE]),
    st.sampled_from([None, "Revert(0)"]),
)
DEPOSITS = st.tuples(st.sampled_from(OWNERS), st.integers(0, 2**64))


@given(steps=st.lists(PAYMENTS | DEPOSITS, max_size=25))
@settings(max_examples=60, deadline=None)
def test_balances_at_every_height_are_what_the_payments_say(steps: list[tuple[Any, ...]]) -> None:
    chain = Chain()
    model: Counter[tuple[str, str]] = Counter()
    for owner in OWNERS:
        for asset_id in ASSETS[:2]:
            model[owner, asset_id] = 2**65
            chain.set_balances([AccountBalance(owner, asset_id, 2**65)])
    history = [dict(model)]
    history += [dict(model) for step in steps if apply(chain, model, step)]
    assert chain.height == len(history) - 1
    for height, amounts in enumerate(history):
        for (owner, asset_id), amount in amounts.items():
            assert chain.ledger.amounts.at(owner, asset_id, height) == amount


def apply(chain: Chain, model: Counter[tuple[str, str]], step: tuple[Any, ...]) -> bool:
    """Do a step on both, and tell whether it made a block."""
    if len(step) == 2:
        recipient, amount = step
        chain.deposit(recipient, amount)
        chain.produce_blocks()
        model[recipient, BASE_ASSET_ID] += amount
        return True
    sender, to, asset_id, amount, kind, failure = step
    try:
        chain.transfer(sender, to, asset_id, amount, kind=kind, failure=failure)
    except InvalidValueError:
        assert amount > model[sender, asset_id]
        return False
    assert amount <= model[sender, asset_id]
    if failure is None or kind is OutputKind.COIN:
        model[sender, asset_id] -= amount
        model[to, asset_id] += amount
    return True
