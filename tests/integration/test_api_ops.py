"""What the operator's page is told, and that it is shut without a key."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from api.ops.overview import Overview
from api.ops.routes import _events
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.events import invalidated
from domain.values import Fresh
from runtime.assembly import Runtime
from runtime.scrape import Scraper
from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer
from tests.api_support import CHAIN_ID, KEY, settings_for, started

VAULT = "0x" + "ab" * 32


@pytest.fixture(scope="module")
def node() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, chain_id=CHAIN_ID, block_seconds=0)) as node:
        yield node


@pytest.fixture
async def runtime(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path
) -> AsyncIterator[Runtime]:
    database = f"sqlite:///{tmp_path / 'bako.sqlite3'}"
    runtime = await Runtime.open(settings_for(cache_server.url(), database, node.url))
    await runtime.cache.reset_stats()
    yield runtime
    await runtime.close()


def overview(runtime: Runtime) -> Overview:
    return Overview(runtime, Scraper(runtime.settings, runtime.vitals, None))


async def test_the_page_is_told_of_reads_nodes_and_who_invalidated(runtime: Runtime) -> None:
    await runtime.cache.clear([VAULT], CHAIN_ID)
    reader = runtime.reader(CHAIN_ID)
    for _ in range(2):
        assert isinstance((await reader.read_many([VAULT]))[VAULT].answer, Fresh)
    await runtime.cache.mark_read(CHAIN_ID, [VAULT])
    await runtime.vault_log.note(CHAIN_ID, invalidated([VAULT], "transaction 0xfeed", 7))

    told = json.loads(json.dumps(await overview(runtime).read()))

    assert told["reads"]["hit_rate"] == pytest.approx(0.5)
    assert told["freshness"]["fresh"] >= 1
    assert told["lanes"] is None  # nobody told this process of a broker
    [node] = told["nodes"]
    assert (node["chain_id"], node["error"]) == (CHAIN_ID, None)
    assert told["invalidated"][0]["detail"] == "transaction 0xfeed"


async def test_however_many_look_it_is_gathered_once(runtime: Runtime) -> None:
    shared = overview(runtime)

    assert await shared.read() is await shared.read()


async def test_what_does_not_answer_is_shown_as_such(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/graphql"
    database = f"sqlite:///{tmp_path / 'bako.sqlite3'}"
    away = await Runtime.open(settings_for("redis://127.0.0.1:1/0", database, nowhere))
    try:
        told = json.loads(json.dumps(await overview(away).read()))
    finally:
        await away.close()

    assert (told["reads"], told["freshness"], told["cache"]) == (None, None, None)
    assert told["nodes"][0]["error"].startswith("NodeUnreachableError")
    assert told["failed"] == []


async def test_the_stream_says_it_as_events(runtime: Runtime) -> None:
    events = _events(overview(runtime))

    assert await anext(events) == "retry: 500\n\n"
    news = await anext(events)
    assert news.startswith("data: {")
    assert news.endswith("}\n\n")
    await events.aclose()  # type: ignore[attr-defined]  # it is a generator


@pytest.mark.parametrize("path", ["/ops", "/ops/script.js", "/ops/style.css", "/ops/stream"])
async def test_without_a_configured_key_nobody_comes_in(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path, path: str
) -> None:
    database = f"sqlite:///{tmp_path / 'bako.sqlite3'}"
    shut = settings_for(cache_server.url(), database, node.url, internal_api_key=None)
    async with started(shut, None) as client:
        for auth in (None, httpx.BasicAuth("operator", KEY), httpx.BasicAuth("operator", "")):
            answer = await client.get(path, auth=auth)
            assert answer.status_code == 503


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": "Basic bm9ib2R5Og==", "X-API-Key": KEY},
        {"X-API-Key": "wrong"},
    ],
)
async def test_what_is_no_key_is_refused_and_the_browser_asks_again(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path, headers: dict[str, str]
) -> None:
    database = f"sqlite:///{tmp_path / 'bako.sqlite3'}"
    async with started(settings_for(cache_server.url(), database, node.url), None) as client:
        answer = await client.get("/ops", headers=headers)

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
        assert KEY not in answer.text
