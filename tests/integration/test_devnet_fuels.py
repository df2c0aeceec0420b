"""The devnet against a client that we did not write: the Fuel TypeScript SDK, fuels 0.103."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from devnet.chain import AccountBalance
from devnet.options import BASE_ASSET_ID, DevnetOptions
from devnet.server import DevnetServer
from tests.conftest import require

FOLDER = Path(__file__).parents[1] / "devnet_fuels"
OWNER, TOKEN = "0x" + "aa" * 32, "0x" + "01" * 32


def installed_sdk(npm: str) -> None:
    """Install what the lock file says, unless exactly that is there already."""
    marker = FOLDER / "node_modules" / ".installed-lock.json"
    lock = (FOLDER / "package-lock.json").read_text("utf-8")
    if marker.is_file() and marker.read_text("utf-8") == lock:
        return
    subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=FOLDER,
        check=True,
        capture_output=True,
        timeout=300,
    )
    marker.write_text(lock, "utf-8")


@pytest.mark.timeout(420)
@pytest.mark.parametrize("indexation", [True, False])
def test_the_typescript_sdk_works_with_the_devnet(indexation: bool) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    require(node is not None and npm is not None, "Node.js with npm")
    installed_sdk(npm or "npm")
    options = DevnetOptions(port=0, block_seconds=0, chain_id=9889, indexation=indexation)
    with DevnetServer(options) as devnet:
        devnet.chain.set_balances(
            [AccountBalance(OWNER, TOKEN, 2**100), AccountBalance(OWNER, BASE_ASSET_ID, 5)]
        )
        told = run_story(node or "node", devnet.url)
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


def run_story(node: str, url: str) -> dict[str, Any]:
    """Run the SDK's side, and return what it saw."""
    finished = subprocess.run(
        [node, "story.mjs", url],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    told: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return told
