from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from devnet.__main__ import app
from devnet.options import DevnetOptions
from devnet.state import Devnet
from domain.errors import ConfigurationError

OWNER, ASSET = "0x" + "aa" * 32, "0x" + "01" * 32


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"port": 70_000}, "--port"),
        ({"block_seconds": -1}, "--block-seconds"),
        ({"latency_ms": -1}, "--latency-ms"),
        ({"off_chain_delay_ms": -1}, "--off-chain-delay-ms"),
        ({"nodes": 0}, "--nodes"),
        ({"lags": (1, 2)}, "--lag"),
        ({"lags": (-1,)}, "--lag"),
        ({"chain_id": -1}, "chain id"),
        ({"base_asset_id": "0x1"}, "asset id"),
    ],
)
def test_an_option_that_cannot_be_meant_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        DevnetOptions(**options)


def state_file(directory: Path, content: Any) -> Path:
    path = directory / "state.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_accounts_are_read_from_the_state_file(tmp_path: Path) -> None:
    entries = [
        {"owner": OWNER, "assetId": ASSET, "amount": str(2**100)},
        {"owner": OWNER, "assetId": "0x" + "02" * 32, "amount": 7},
    ]
    path = state_file(tmp_path, {"balances": entries})
    amounts = Devnet(DevnetOptions(state_file=path)).chain.ledger.amounts
    assert list(amounts.rows(OWNER, 0)) == [(ASSET, 2**100), ("0x" + "02" * 32, 7)]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "is not JSON"),
        ([], "is not of the form"),
        ({"balances": [{"owner": OWNER}]}, r"balances\[0\]: a balance has exactly"),
        (
            {"balances": [{"owner": "0x1", "assetId": ASSET, "amount": "1"}]},
            r"balances\[0\]: not a Fuel address",
        ),
        (
            {"balances": [{"owner": OWNER, "assetId": ASSET, "amount": 1.5}]},
            r"balances\[0\]: not an amount",
        ),
        (
            {"balances": [{"owner": OWNER, "assetId": ASSET, "amount": -1}]},
            r"balances\[0\]: amount out of range",
        ),
    ],
)
def test_a_wrong_state_file_is_refused_and_its_entry_named(
    tmp_path: Path, content: Any, named: str
) -> None:
    path = state_file(tmp_path, content)
    with pytest.raises(ConfigurationError, match=named):
        Devnet(DevnetOptions(state_file=path))


def test_a_state_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*absent\.json"):
        Devnet(DevnetOptions(state_file=tmp_path / "absent.json"))


def test_help_explains_every_knob() -> None:
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 0
    for word in ("--latency-ms", "--lag", "--state", "/devnet/faults", "/devnet/transfer"):
        assert word in result.output


@pytest.mark.parametrize(
    ("arguments", "why"), [(["--lag", "a"], "--lag is numbers"), (["--nodes", "0"], "--nodes")]
)
def test_a_wrong_argument_ends_with_one_line_and_code_2(arguments: list[str], why: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert why in result.output
    assert result.output.count("\n") == 1
