"""Our figures beside those of the SDK's own arithmetic and JavaScript's own formatting."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from api.allocation import allocate
from api.money import dollar_text, dollars, formatted, to_hex
from api.pricing import Pricing, read_prices, read_units
from api.vaults import Vault, reserved_coins_answer
from domain.ports import Served, Source
from domain.values import Balance, Fresh, Snapshot, StoredSnapshot
from registry.records import ZERO_ADDRESS, PredicateRecord, Reservation, signers
from registry.reserved import comparable_url, reserved_by
from tests import bako_node
from tests.api_support import CHAIN_ID

BAKOS_FIELDS = (
    "reservedCoinsUSD",
    "totalBalanceUSD",
    "currentBalanceUSD",
    "currentBalance",
    "totalBalance",
    "reservedCoins",
    "nfts",
)
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


def test_the_answer_about_a_vault_has_the_same_fields_to_the_last_digit() -> None:
    random = Random(SEED + 5)
    cases = [_vault_case(random) for _ in range(1_000)]

    ours = [_vault_answer(case) for case in cases]

    assert ours == _results([{"kind": "vault", **case} for case in cases])
    # The cases reach what they are about.
    assert sum(bool(answer["nfts"]) for answer in ours) > 50
    assert sum(bool(answer["reservedCoins"]) for answer in ours) > 300
    assert sum(len(answer["currentBalance"]) < len(answer["totalBalance"]) for answer in ours) > 200


def _vault_case(random: Random) -> dict[str, Any]:
    """A vault that reserves no more than it holds (there alone we differ, on purpose)."""
    ids = [f"0x{number:064x}" for number in random.sample(range(100), random.randrange(1, 9))]
    held = {i: random.choice([0, 1, 1, 2, _amount(random)]) for i in ids}
    outputs = []
    for asset_id, amount in held.items():
        parts = [random.randrange(amount + 1) for _ in range(random.randrange(3))]
        parts = [part // max(1, len(parts)) for part in parts]
        if random.random() < 0.2:
            parts = [max(0, amount - 1)]  # a single unit is left
        outputs += [
            {"type": 0, "to": "0x", "assetId": asset_id, "amount": _written(random, part)}
            for part in parts
        ]
        outputs.append({"type": random.randrange(1, 5), "assetId": asset_id, "amount": hex(amount)})
    random.shuffle(outputs)
    cut = random.randrange(len(outputs) + 1)
    return {
        "balances": [{"assetId": i, "amount": hex(a)} for i, a in held.items()],
        "drafts": [{"outputs": outputs[:cut]}, {"outputs": outputs[cut:]}],
        "quotes": {i: repr(_price(random)) for i in ids if random.random() < 0.8},
        "assets": [
            {"name": "asset", "networks": random.sample(networks, len(networks))}
            for asset_id in ids
            for networks in [_listed(random, asset_id)]
        ],
        "verified": {i: {"symbol": "X"} for i in ids if random.random() < 0.5},
        "chainId": CHAIN_ID,
    }


def _written(random: Random, amount: int) -> str:
    """As drafts write amounts: hex, or decimal."""
    return hex(amount) if random.random() < 0.5 else str(amount)


def _listed(random: Random, asset_id: str) -> list[Any]:
    """Where an asset is listed: here, elsewhere, or nowhere."""
    here = {"type": "fuel", "chainId": CHAIN_ID, "assetId": asset_id, "decimals": _units(random)}
    elsewhere = {"type": "fuel", "chainId": 0, "assetId": asset_id, "decimals": 18}
    ethereum = {"type": "ethereum", "chainId": 1, "decimals": 18, "address": "0x"}
    return random.choice([[here, elsewhere, ethereum], [here, None], [elsewhere], [ethereum], []])


def _vault_answer(case: dict[str, Any]) -> dict[str, Any]:
    balances = tuple(Balance(b["assetId"], int(b["amount"], 16)) for b in case["balances"])
    reservation = Reservation()
    for draft in case["drafts"]:
        for asset_id, amount in reserved_by(draft).items():
            reservation.coins[asset_id] = reservation.coins.get(asset_id, 0) + amount
    pricing = Pricing(
        prices=read_prices(case["quotes"]),
        units=read_units(case["assets"], case["chainId"]),
        verified=frozenset(case["verified"]),
    )
    stored = StoredSnapshot(Snapshot("0x", case["chainId"], balances), 0, 1)
    vault = Vault(
        PredicateRecord("id", "vault", "0x", "0x", 1, 1, datetime(2026, 1, 1, tzinfo=UTC)),
        Served(Fresh(stored, 0), Source.CACHE),
        reservation,
    )
    answer = reserved_coins_answer(vault, pricing).model_dump()
    return {name: answer[name] for name in BAKOS_FIELDS}


def test_signers_are_counted_as_javascript_counts_them() -> None:
    random = Random(SEED + 6)
    texts = [_configurable(random) for _ in range(2_000)]
    texts += ["", "null", "[]", "5", '"text"', "true", "{", "{}", '{"SIGNERS": {}}']

    ours = [list(signers(text)) for text in texts]

    assert ours == _results([{"kind": "signers", "configurable": text} for text in texts])


def _configurable(random: Random) -> str:
    listed = [random.choice([ZERO_ADDRESS, "0xab", None, 7]) for _ in range(random.randrange(10))]
    odd: object = random.choice([listed, listed, listed, None, "", "0xab", 0, 3, {}, False, True])
    fields = {"SIGNERS": odd, "SIGNATURES_COUNT": random.choice([0, 1, 2, 10, 3.0, None, False])}
    kept = {name: value for name, value in fields.items() if random.random() < 0.8}
    return json.dumps(kept | {"SIGNER": "0xab"} if random.random() < 0.3 else kept)


def test_networks_are_compared_without_what_javascript_takes_off() -> None:
    random = Random(SEED + 7)
    schemes = ["http://", "https://", "HTTPS://", ""]
    parts = ["http://", "user", ":", "pass", "@", "/", "n.example", "\n", "?"]
    urls = [
        random.choice(schemes) + "".join(random.choices(parts, k=random.randrange(1, 9)))
        for _ in range(3_000)
    ]

    ours = [comparable_url(url) for url in urls]

    assert ours == _results([{"kind": "network", "url": url} for url in urls])
    assert sum(url != short for url, short in zip(urls, ours, strict=True)) > 100


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
