"""Where scenarios are played: connections to a private server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from supervisor.valkey import EmbeddedServer
from tests.coherence.drawing import Stage
from tests.coherence.stepping import PlainServer


@pytest.fixture
def server(cache_server: EmbeddedServer) -> Iterator[PlainServer]:
    server = PlainServer(cache_server.port)
    yield server
    server.close()


@pytest.fixture
def stage(cache_server: EmbeddedServer) -> Iterator[Stage]:
    """The same, with the far end of copies' links."""
    stage = Stage.open(cache_server.port)
    yield stage
    stage.close()
