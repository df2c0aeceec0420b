"""Our figures beside those of the SDK's own arithmetic and JavaScript's own formatting."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

import pytest

from api.allocation import allocate
from api.money import dollar_text, dollars, formatted, to_hex
from api.pricing import Pricing
from domain.values import Balance
from tests import bako_node

SEED = 20_260_410
CASES = 4_000


@pytest.fixture(scope="module", autouse=True)
def _node() -> None:
    bako_node.install()


def _amount(random: Random) -> int:
    return random.getrandbits(random.randrange(1, 129))


def _units(random: Random) -> int:
    return random.choice([0, 1, 2, 3, 6, 8, 8, 9, 9, 10, 18, 18, 24, 36])


def _price(random: Random) -> float:
    digits = random.choice([1, 2, 4, 8])
    some = round(random.random() * 10.0 ** random.randrange(-6, 6), digits)
    return random.choice([0.0, some])


def _double(random: Random) -> float:
    """Dollar values of every size, many of them just at half a cent."""
    kind = random.randrange(4)
    if kind == 0:
        return random.randrange(10**7) / 1000 + random.choice([0, 0.005])
    if kind == 1:
        return random.random() * 10.0 ** random.randrange(-9, 22)
    if kind == 2:
        return (2 * random.randrange(10**9) + 1) * 0.005
    [value] = struct.unpack("<d", struct.pack("<Q", random.getrandbits(62)))
    return float(value) if 0 <= value < 1e60 else 0.1 + 0.2


def _results(cases: list[dict[str, Any]]) -> list[Any]:
    results: list[Any] = bako_node.run("arithmetic.mjs", cases)
    assert len(results) == len(cases)
    return results


def test_amounts_are_formatted_and_written_as_the_sdk_does() -> None:
    random = Random(SEED)
    pairs = [(_amount(random), _units(random)) for _ in range(CASES)]
    pairs += [(amount, units) for amount in (0, 1, 9, 10, 10**9) for units in range(20)]
    given: list[dict[str, Any]] = [
        {"kind": kind, "amount": str(amount), "units": units}
        for amount, units in pairs
        for kind in ("format", "hex")
    ]
    ours = [text for amount, units in pairs for text in (formatted(amount, units), to_hex(amount))]

    assert ours == _results(given)


def test_dollars_are_the_same_doubles() -> None:
    random = Random(SEED + 1)
    given: list[dict[str, Any]] = [
        {"kind": "worth", "amount": str(_amount(random)), "units": _units(random), "price": price}
        for price in (_price(random) for _ in range(CASES))
    ]

    ours = [dollars(int(c["amount"]), c["units"], c["price"]) for c in given]

    assert ours == _results(given)


def test_dollars_are_written_as_intl_writes_them() -> None:
    random = Random(SEED + 2)
    values = [_double(random) for _ in range(CASES)]
    values += [0.0, 0.004, 0.005, 1.005, 2.675, 1234.565, 999.995, 999_999.995, 1e21, 1.5e22]

    texts = _results([{"kind": "text", "value": repr(value)} for value in values])

    assert [dollar_text(value) for value in values] == texts


def test_totals_are_added_in_the_same_order() -> None:
    random = Random(SEED + 3)
    given: list[dict[str, Any]] = [
        {
            "kind": "total",
            "balances": [
                {"amount": str(_amount(random)), "units": _units(random), "price": _price(random)}
                for _ in range(random.randrange(20))
            ],
        }
        for _ in range(300)
    ]

    ours = []
    for case in given:
        ids = [f"asset-{n}" for n in range(len(case["balances"]))]
        held = dict(zip(ids, case["balances"], strict=True))
        pricing = Pricing(
            prices={i: b["price"] for i, b in held.items()},
            units={i: b["units"] for i, b in held.items()},
        )
        ours.append(pricing.total(Balance(i, int(b["amount"])) for i, b in held.items()))

    assert ours == _results(given)


def test_allocations_have_the_same_rows_totals_and_percentages() -> None:
    random = Random(SEED + 4)
    plans = [_plan(random) for _ in range(400)]
    given: list[dict[str, Any]] = [
        {
            "kind": "spread",
            "vaults": [
                [
                    {
                        "asset": b.asset_id,
                        "amount": str(b.amount),
                        "units": pricing.units[b.asset_id],
                        "price": pricing.prices[b.asset_id],
                    }
                    for b in vault
                ]
                for vault in vaults
            ],
        }
        for vaults, pricing in plans
    ]

    assert [_as_node(vaults, pricing) for vaults, pricing in plans] == _results(given)


def _plan(random: Random) -> tuple[list[list[Balance]], Pricing]:
    ids = [f"asset-{n}" for n in range(random.randrange(1, 9))]
    same_worth = random.random() < 0.2  # equal percentages keep their order
    pricing = Pricing(
        prices={i: 2.0 if same_worth else _price(random) for i in ids},
        units={i: 8 if same_worth else _units(random) for i in ids},
    )
    vaults = [
        [
            Balance(i, 10**8 if same_worth else _amount(random))
            for i in random.sample(ids, random.randrange(len(ids) + 1))
        ]
        for _ in range(random.randrange(6))
    ]
    return vaults, pricing


def _as_node(vaults: list[list[Balance]], pricing: Pricing) -> dict[str, Any]:
    allocation = allocate(vaults, pricing)
    rows = [
        {
            "asset": share.asset_id,
            "usd": share.worth,
            "share": share.percentage,
            "amount": to_hex(share.amount),
        }
        for share in allocation.shares
    ]
    return {"total": allocation.total, "byVault": list(allocation.by_vault), "rows": rows}
