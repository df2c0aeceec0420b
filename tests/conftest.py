"""Fixtures that every level shares: private servers on free ports, never a shared one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from supervisor.valkey import BROKER_POLICY, EmbeddedServer


def require(available: bool, what: str) -> None:
    """Skip where a service is absent, on a developer's machine; fail for it in CI."""
    if available:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is required in CI")
    pytest.skip(f"{what} is not available here")


@pytest.fixture(scope="session")
def cache_server() -> Iterator[EmbeddedServer]:
    """A private cache server for the whole session."""
    server = EmbeddedServer.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def broker_server() -> Iterator[EmbeddedServer]:
    """A private broker server for the whole session."""
    server = EmbeddedServer.start(policy=BROKER_POLICY)
    yield server
    server.stop()
