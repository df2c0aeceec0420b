"""Every route under generated input, valid and not: no 500, and no answer off its description."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from api.app import create_app
from api.server import listen
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from supervisor.valkey import EmbeddedServer
from supervisor.waiting import wait_until
from tests.api_support import CHAIN_ID, ETH, KEY, World, open_world
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


@pytest.fixture(scope="module")
def node() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=CHAIN_ID)) as server:
        yield server


@asynccontextmanager
async def _served(world: World) -> AsyncIterator[str]:
    listener = listen("127.0.0.1", 0)
    application = create_app(world.settings, world.publisher)
    server = uvicorn.Server(uvicorn.Config(application, log_config=None, proxy_headers=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        assert await asyncio.to_thread(wait_until, lambda: server.started, seconds=10)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join, 10)
        listener.close()


async def test_generated_input_meets_no_500_and_no_answer_off_its_description(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path
) -> None:
    database_url = f"sqlite:///{tmp_path}/bako.sqlite3"
    async with open_world(
        cache_server.url(), database_url, node, internal_rate_limit=1_000_000
    ) as world:
        user, address = await world.database.add_user(), bytes32()
        await world.database.add_predicate(user, predicate_address=address)
        world.give(address, {ETH: 5})
        session = await world.sign_in(user)
        async with _served(world) as url:
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
