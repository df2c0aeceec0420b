"""So many streams and no more, slow readers, and streams without the cache or without Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_app
from devnet.server import DevnetServer
from tests.api_support import ETH, open_world, served
from tests.cache_support import StartServer
from tests.databases import bytes32
from tests.stream_site import Site, of
from tests.stream_support import SECONDS, reading


@pytest.mark.parametrize("site", [{"streams_per_user": 2}], indirect=True)
async def test_a_user_has_so_many_streams_and_a_closed_one_counts_no_more(site: Site) -> None:
    async with reading(site.url, site.headers) as first:
        await first.until("snapshot")
        async with reading(site.url, site.headers) as second, httpx.AsyncClient() as client:
            await second.until("snapshot")
            refused = await client.get(f"{site.url}/user/balances/stream", headers=site.headers)

        async with asyncio.timeout(SECONDS):
            while not await _opens(site):
                await first.next()

    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "5"
    assert refused.headers["content-type"] == "application/problem+json"


async def _opens(site: Site) -> bool:
    async with (
        httpx.AsyncClient(timeout=SECONDS) as client,
        client.stream("GET", f"{site.url}/user/balances/stream", headers=site.headers) as response,
    ):
        return response.status_code == 200


@pytest.mark.parametrize("site", [{"streams_per_process": 1}], indirect=True)
async def test_a_process_has_so_many_streams(site: Site) -> None:
    async with reading(site.url, site.headers) as first, httpx.AsyncClient() as client:
        await first.until("snapshot")
        refused = await client.get(f"{site.url}/user/balances/stream", headers=site.headers)

    assert refused.status_code == 503
    assert "retry-after" in refused.headers


@pytest.mark.parametrize("site", [{"enable_balance_cache": False}], indirect=True)
async def test_without_the_cache_there_is_no_stream(site: Site) -> None:
    answer = await site.world.get("/user/balances/stream", site.headers)

    assert answer.status_code == 503


async def test_a_slow_reader_gets_the_newest_state_and_holds_no_more_memory(site: Site) -> None:
    await site.world.get("/user/allocation", site.headers)
    vault, address = site.first
    application = create_app(site.world.settings, site.world.publisher)
    reader = _SlowReader()
    async with application.router.lifespan_context(application):
        serving = asyncio.create_task(
            application(_scope(site.headers), reader.receive, reader.send)
        )
        await reader.has_read(b"event: snapshot")
        reader.may_go_on.clear()
        for amount in range(20, 30):
            await site.change(address, amount)
        open_streams = application.state.parts.streams
        async with reading(site.url, site.headers) as other:  # he has been told of the last one
            await other.until("balances", of(vault, 29))
        held = len(open_streams)
        before = len(reader.read)
        reader.may_go_on.set()
        await reader.has_read(b'"amount":"0x1d"')
        reader.gone.set()
        async with asyncio.timeout(SECONDS):
            await serving
        assert len(open_streams) == 0

    told = reader.read[before:].count(b'"predicateId":"%b","address"' % vault.encode())
    assert held == 1
    assert told <= 3  # what was on its way when he stopped, and the newest; not each of ten


class _SlowReader:
    """A client at the other end of the application who stops reading when told so."""

    def __init__(self) -> None:
        self.read = b""
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.gone = asyncio.Event()
        self._came = asyncio.Condition()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        await self.may_go_on.wait()
        async with self._came:
            self.read += message.get("body", b"")
            self._came.notify_all()

    async def has_read(self, text: bytes) -> None:
        async with asyncio.timeout(SECONDS), self._came:
            await self._came.wait_for(lambda: text in self.read)


def _scope(headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/user/balances/stream",
        "raw_path": b"",
        "root_path": "",
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }


async def test_when_redis_is_away_readers_are_told_and_when_it_is_back_what_changed(
    node: DevnetServer, tmp_path: Path, start_server: StartServer
) -> None:
    server = start_server()
    database = f"sqlite:///{tmp_path}/bako.sqlite3"
    quick = {"stream_look_seconds": 0.2, "stream_heartbeat_seconds": 0.2}
    async with open_world(server.url(), database, node, **quick) as world:
        user, address = await world.database.add_user(), bytes32()
        vault = await world.database.add_predicate(user, predicate_address=address)
        await world.database.add_token(user)
        headers = {"Authorization": user.token, "signeraddress": user.address}
        world.give(address, {ETH: 5})
        await world.get("/user/allocation", headers)
        async with served(world) as url, reading(url, headers) as stream:
            await stream.until("balances", of(vault, 5))
            server.stop()
            await stream.until("live", lambda data: data["live"] is False)
            world.give(address, {ETH: 6})
            start_server(port=server.port)
            async with asyncio.timeout(SECONDS):  # in either order
                while {"live": True} not in stream.told("live") or not any(
                    of(vault, 6)(data) for data in stream.told("balances")
                ):
                    await stream.next()
