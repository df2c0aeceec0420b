"""A provider over one node that does as told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from provider.node import NodeProvider
from tests.fake_node import FAST, NETWORK, FakeNode


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
async def provider(node: FakeNode) -> AsyncIterator[NodeProvider]:
    provider = NodeProvider(
        NETWORK, timeout_seconds=20, concurrency=10, retries=FAST, transport=node.transport()
    )
    yield provider
    await provider.close()
