"""A user with two vaults at an API whose streams look often."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from devnet.server import DevnetServer
from supervisor.valkey import EmbeddedServer
from tests.api_support import ETH, open_world, served
from tests.databases import bytes32
from tests.stream_site import Site


@pytest.fixture
async def site(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path, request: Any
) -> AsyncIterator[Site]:
    changes = {
        "stream_heartbeat_seconds": 0.2,
        "stream_session_seconds": 0.2,
        "stream_membership_seconds": 0.2,
        "stream_look_seconds": 0.2,
    } | getattr(request, "param", {})
    database = f"sqlite:///{tmp_path}/bako.sqlite3"
    async with open_world(cache_server.url(), database, node, **changes) as world:
        user = await world.database.add_user()
        vaults = {}
        for amount in (5, 7):
            address = bytes32()
            vault = await world.database.add_predicate(user, predicate_address=address)
            vaults[vault] = address
            world.give(address, {ETH: amount})
        headers = await world.sign_in(user)
        async with served(world) as url:
            yield Site(world, url, user, headers, vaults)
