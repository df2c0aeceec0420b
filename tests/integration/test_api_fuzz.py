"""Every route under generated input, valid and not: no 500, and no answer off its description."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from devnet.server import DevnetServer
from supervisor.valkey import EmbeddedServer
from tests.api_support import ETH, KEY, open_world, served
from tests.databases import bytes32

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
EXAMPLES = 25
SEED = 4


async def test_generated_input_meets_no_500_and_no_answer_off_its_description(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path
) -> None:
    database_url = f"sqlite:///{tmp_path}/bako.sqlite3"
    async with open_world(
        cache_server.url(),
        database_url,
        node,
        internal_rate_limit=1_000_000,
        stream_life_seconds=0.05,  # else the first stream would be the last request
    ) as world:
        user, address = await world.database.add_user(), bytes32()
        await world.database.add_predicate(user, predicate_address=address)
        world.give(address, {ETH: 5})
        session = await world.sign_in(user)
        # A vault that nobody knows is a 503 to a caller without time to wait.
        assert (await world.get("/user/dashboard", session)).status_code == 200
        async with served(world) as url:
            report = await asyncio.to_thread(_fuzz, url, session | {"X-API-Key": KEY}, tmp_path)

    assert report.returncode == 0, report.stdout[-6_000:]
    assert "No issues found" in report.stdout
    generated = re.search(r"([\d,]+) generated", report.stdout)
    assert generated is not None, report.stdout[-2_000:]
    assert int(generated[1].replace(",", "")) > 500


def _fuzz(url: str, headers: dict[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    arguments = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *(part for name, value in headers.items() for part in ("-H", f"{name}: {value}")),
        *("--checks", ",".join(CHECKS), "--max-examples", str(EXAMPLES), "--seed", str(SEED)),
        *("--phases", "examples,coverage,fuzzing", "--workers", "1", "--no-color"),
        *("--continue-on-failure", "--generation-database", "none", "--warnings", "off"),
    ]
    return subprocess.run(
        arguments, capture_output=True, text=True, check=False, timeout=100, cwd=directory
    )
