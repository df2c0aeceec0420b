"""A front before the simulated node that answers a repeated question from memory.

A real node answers 200 vaults in a few milliseconds of several threads; the simulator needs some
50 ms of one Python process. With this front the time of a run is the provider's own and the
latency's: ``python -m benchmarks.replaying_node PORT NODE_URL LATENCY_MS``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class ReplayingNode:
    """Remembers the node's answers by query and variables; counts what it was asked."""

    def __init__(self, node_url: str, latency_seconds: float) -> None:
        self._url = node_url
        self._latency = latency_seconds
        self._client = httpx.AsyncClient(timeout=60)
        self._answers: dict[tuple[str, str], bytes] = {}
        self._requests: list[dict[str, Any]] = []

    async def graphql(self, request: Request) -> Response:
        """Answer as the node did the first time, after the latency."""
        begun = asyncio.get_running_loop().time()
        content = await request.body()
        body = json.loads(content)
        key = (body["query"], json.dumps(body.get("variables")))
        if key not in self._answers:
            answer = await self._client.post(
                self._url, content=content, headers={"content-type": "application/json"}
            )
            answer.raise_for_status()
            self._answers[key] = answer.content
        await asyncio.sleep(self._latency - (asyncio.get_running_loop().time() - begun))
        seconds = asyncio.get_running_loop().time() - begun
        self._requests.append(
            {
                "kind": "graphql",
                "status": 200,
                "error": None,
                "milliseconds": seconds * 1000,
                "bytesOut": len(self._answers[key]),
            }
        )
        return Response(self._answers[key], media_type="application/json")

    async def requests(self, _: Request) -> Response:
        """Tell what was asked, in the simulator's form."""
        return Response(json.dumps({"requests": self._requests}))

    async def reset(self, _: Request) -> Response:
        """Begin to count anew."""
        self._requests.clear()
        return Response("{}")


def main() -> None:
    """Serve until the parent ends us."""
    port, node_url, latency_ms = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    node = ReplayingNode(node_url, latency_ms / 1000)
    app = Starlette(
        routes=[
            Route("/v1/graphql", node.graphql, methods=["POST"]),
            Route("/devnet/requests", node.requests),
            Route("/devnet/requests/reset", node.reset, methods=["POST"]),
        ]
    )
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    main()
