"""Providers over two nodes that do as told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from provider.node import NodeProvider
from tests.fake_node import FAST
from tests.two_nodes import NETWORK, Two


@pytest.fixture
def nodes() -> Two:
    return Two()


@pytest.fixture
async def make(nodes: Two) -> AsyncIterator[Callable[..., NodeProvider]]:
    made: list[NodeProvider] = []

    def build(**options: Any) -> NodeProvider:
        options = {"timeout_seconds": 2, "retries": FAST, "window_seconds": 0, **options}
        provider = NodeProvider(NETWORK, transport=nodes, **options)
        made.append(provider)
        return provider

    yield build
    for provider in made:
        await provider.close()
