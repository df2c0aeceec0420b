"""Credentials of a node go into a header and nowhere else."""

from __future__ import annotations

import logging

import hpack
import httpx
import pytest

from domain.errors import NodeUnreachableError
from provider.node import NodeProvider
from tests.fake_node import FAST, NETWORK, FakeNode, address


async def test_connection_errors_show_no_credentials() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"cannot reach {request.url} {request.headers}")

    provider = NodeProvider(NETWORK, retries=FAST, transport=httpx.MockTransport(refuse))
    answer = (await provider.fetch_many([address(1)]))[address(1)]
    await provider.close()
    assert isinstance(answer, NodeUnreachableError)
    assert "node.test" in str(answer)
    assert "secret" not in str(answer)
    assert answer.__cause__ is None


async def test_credentials_go_into_a_header() -> None:
    node = FakeNode()
    seen = []

    async def look(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return await node.handle(request)

    provider = NodeProvider(NETWORK, transport=httpx.MockTransport(look))
    await provider.get_balances(address(1))
    await provider.close()
    assert all("secret" not in str(request.url) for request in seen)
    assert all(request.headers["authorization"].startswith("Basic ") for request in seen)


async def test_no_library_logs_the_header_with_the_credentials(
    provider: NodeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hpack.Encoder().encode([("authorization", "Basic czNjcmV0")])  # what HTTP/2 does with it
    await provider.get_balances(address(1))
    assert "czNjcmV0" not in caplog.text
