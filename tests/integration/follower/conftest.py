"""The follower of the chain on a real cache and database, against a simulated node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from supervisor.valkey import EmbeddedServer
from tasks.following import Follower
from tests.follow_support import Desk, begun, desk


@pytest.fixture
async def at(tmp_path: Path, module_server: EmbeddedServer) -> AsyncIterator[Desk]:
    async with desk(tmp_path, module_server) as at:
        at.node.chain.produce_blocks(30)
        yield at


@pytest.fixture
async def follower(at: Desk) -> Follower:
    """A follower who stands at the tip."""
    return await begun(at)
