"""The devnet against a client that we did not write: the Fuel TypeScript SDK, fuels 0.103."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from devnet.chain import AccountBalance
from devnet.options import BASE_ASSET_ID, DevnetOptions
from devnet.server import DevnetServer
from tests import node_support

FOLDER = Path(__file__).parents[1] / "devnet_fuels"
OWNER, TOKEN = "0x" + "aa" * 32, "0x" + "01" * 32


@pytest.mark.timeout(420)
@pytest.mark.parametrize("indexation", [True, False])
def test_the_typescript_sdk_works_with_the_devnet(indexation: bool) -> None:
    node_support.install(FOLDER)
    options = DevnetOptions(port=0, block_seconds=0, chain_id=9889, indexation=indexation)
    with DevnetServer(options) as devnet:
        devnet.chain.set_balances(
            [AccountBalance(OWNER, TOKEN, 2**100), AccountBalance(OWNER, BASE_ASSET_ID, 5)]
        )
        told = run_story(devnet.url)
        log = devnet.devnet.log.counts()
    base_first = [[BASE_ASSET_ID, "5"], [TOKEN, str(2**100)]]
    assert told == {
        "chainId": 9889,
        "base": BASE_ASSET_ID,
        "balances": base_first if indexation else base_first[::-1],
        "balance": str(2**100),
        "submitted": ["SubmittedStatus", "SuccessStatus"],
        "walletBalance": "700",
        "baseBalance": "305",
        "watched": ["SuccessStatus"],
        "followed": ["SubmittedStatus", "SuccessStatus"],
        "balanceAfter": str(2**100 + 2),
        "blocks": [[0, 0], [1, 2], [2, 2]],
        "blockHasTransaction": True,
        "blockNumber": 2,
        "version": "0.47.1",
    }
    assert log["byStatus"] == {"200": log["total"]}
    assert log["subscription"] == 3


def run_story(url: str) -> dict[str, Any]:
    """Run the SDK's side, and return what it saw."""
    told: dict[str, Any] = json.loads(node_support.run(FOLDER, "story.mjs", url).splitlines()[-1])
    return told
