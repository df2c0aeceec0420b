from __future__ import annotations

import json
from typing import Any

import pytest

from domain.errors import InvalidValueError
from registry.records import ZERO_ADDRESS, signers, signs_for
from registry.reserved import comparable_url, network_url_of, parse_draft_amount, reserved_by

ASSET = "0x" + "ab" * 32


@pytest.mark.parametrize(
    ("configurable", "expected"),
    [
        (json.dumps({"SIGNERS": ["a", "b", ZERO_ADDRESS], "SIGNATURES_COUNT": 2}), (2, 2)),
        ('{"SIGNERS": ["a"], "SIGNATURES_COUNT": 0}', (1, 1)),
        ('{"SIGNER": "a"}', (0, 1)),
        ('{"SIGNERS": ["a"], "SIGNATURES_COUNT": 1e400}', (1, 1)),
        ('{"SIGNERS": "a"}', (1, 1)),
        ("[]", (0, 1)),
        ("[" * 100_000, (1, 1)),
        ("null", (1, 1)),
        ("no json", (1, 1)),
        ("", (1, 1)),
        (None, (1, 1)),
    ],
)
def test_members_and_minimum_come_from_the_configuration(
    configurable: str | None, expected: tuple[int, int]
) -> None:
    assert signers(configurable) == expected


@pytest.mark.parametrize(
    ("configuration", "signs"),
    [
        ({"SIGNERS": ["me", "you"]}, True),
        ({"SIGNER": "me"}, True),
        ({"SIGNERS": ["you"]}, False),
        ({"SIGNERS": "me"}, False),
        ({}, False),
        ([], False),
    ],
)
def test_a_signer_is_named_by_his_exact_address(configuration: Any, signs: bool) -> None:
    assert signs_for("me", json.dumps(configuration)) is signs


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://node.example/v1/graphql", "https://node.example/v1/graphql"),
        ("https://user:pass@node.example/v1", "https://node.example/v1"),
        ("http://user:pass@node.example/v1", "https://node.example/v1"),
        ("http://node.example/v1", "http://node.example/v1"),
    ],
)
def test_urls_are_compared_without_credentials(url: str, expected: str) -> None:
    assert comparable_url(url) == expected


@pytest.mark.parametrize("network", [None, [], {}, {"url": None}, {"url": 7}, "https://n"])
def test_a_network_without_a_url_is_on_none(network: Any) -> None:
    assert network_url_of(network) is None


@pytest.mark.parametrize(
    ("raw", "amount"),
    [("0xf4240", 1_000_000), ("0x00ff", 255), ("12", 12), (7, 7), ("0", 0), (0, 0)],
)
def test_amounts_of_drafts_are_hex_decimal_or_whole(raw: Any, amount: int) -> None:
    assert parse_draft_amount(raw) == amount


@pytest.mark.parametrize(
    "raw", [None, True, 1.5, -1, "-1", "", "0x", "1.5", " 1", "0xg", "0x1" + "0" * 32, 2**128, "٣"]
)
def test_what_is_no_amount_is_refused(raw: Any) -> None:
    with pytest.raises(InvalidValueError):
        parse_draft_amount(raw)


@pytest.mark.parametrize("draft", [None, [], {}, "text", {"outputs": None}, {"outputs": {}}])
def test_nobody_knows_what_a_draft_without_outputs_reserves(draft: Any) -> None:
    with pytest.raises(InvalidValueError):
        reserved_by(draft)


def test_a_draft_with_no_output_reserves_nothing() -> None:
    assert reserved_by({"outputs": []}) == {}


def test_only_coin_outputs_reserve() -> None:
    outputs = [
        {"type": kind, "assetId": ASSET.upper().replace("X", "x"), "amount": "0x1"}
        for kind in range(5)
    ]
    assert reserved_by({"outputs": outputs}) == {ASSET: 1}
