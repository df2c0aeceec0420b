"""Two nodes behind two names."""

from __future__ import annotations

import httpx

from domain.networks import Network
from tests.fake_node import FakeNode

NETWORK = Network(0, "test", ("http://a.test/", "http://b.test/"))


class Two(httpx.AsyncBaseTransport):
    """Two nodes behind two names."""

    def __init__(self) -> None:
        self.a, self.b = FakeNode(), FakeNode()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        node = {"a.test": self.a, "b.test": self.b}[request.url.host]
        return await node.handle(request)


def busy(_: object) -> httpx.Response:
    return httpx.Response(429, html="<html>")
