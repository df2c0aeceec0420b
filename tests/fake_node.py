"""A node in a few lines, behind `httpx.MockTransport`: it reads our queries with graphql-core.

It is strict where the provider must be right (owners, pages, limits, heights) and does as it is
told where a test wants a fault.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from graphql import FieldNode, OperationDefinitionNode, parse
from graphql.language import IntValueNode, VariableNode

from domain.networks import Network
from domain.values import Snapshot
from provider.costs import page_cost
from provider.retries import RetryPolicy

BASE_ASSET = "0x" + "f8" * 32

NETWORK = Network(0, "testnet", ("http://user:secret@node.test/v1/graphql",))
"""One node, with credentials in its address."""

FAST = RetryPolicy(base_seconds=0.001, behind_base_seconds=0.001)
"""Hardly pauses before it tries again."""

Handler = Callable[[httpx.Request], Awaitable[httpx.Response]]


def address(number: int) -> str:
    return "0x" + format(number, "064x")


def asset(number: int) -> str:
    return "0x" + format(number, "064x")


def rows(count: int) -> list[tuple[str, int]]:
    """So many rows of a vault, each of another asset."""
    return [(asset(number), number) for number in range(1, count + 1)]


def snapshots(answers: Any) -> dict[str, Snapshot]:
    """Return the answers, of which none may be an error."""
    assert all(isinstance(answer, Snapshot) for answer in answers.values())
    return dict(answers)


@dataclass
class FakeNode:
    """One node.

    Attributes:
        balances: owner -> rows of (asset id, amount), in the node's order.
        fault: answers instead of the node while it returns a response.
        requests: the bodies of all balance requests.
        entered: how many requests of any kind have arrived.
    """

    chain_id: int = 0
    height: int | None = 100
    indexation: bool = True
    complexity: int = 80_000
    blocks_per_request: int = 0
    balances: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    fault: Callable[[dict[str, Any]], httpx.Response | None] | None = None
    pause_seconds: float = 0.0
    requests: list[dict[str, Any]] = field(default_factory=list)
    profiles: int = 0
    entered: int = 0
    refused_owners: frozenset[str] = frozenset()

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.handle)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.entered += 1
        if self.pause_seconds:
            await asyncio.sleep(self.pause_seconds)
        body = json.loads(request.content)
        if body["operationName"] == "NodeProfile":
            self.profiles += 1
        else:
            self.requests.append(body)
        answer = self.fault(body) if self.fault is not None else None
        return answer if answer is not None else self._answer(body)

    def _answer(self, body: dict[str, Any]) -> httpx.Response:
        required = body.get("extensions", {}).get("required_fuel_block_height", 0)
        if self.height is not None and required > self.height:
            return self._response(None, "behind", fuel_block_height_precondition_failed=True)
        if body["operationName"] == "NodeProfile":
            parameters = {"chainId": str(self.chain_id), "baseAssetId": BASE_ASSET}
            node = {"nodeVersion": "0.47.1", "indexation": {"balances": self.indexation}}
            chain = {"consensusParameters": parameters}
            return self._response({"chain": chain, "nodeInfo": node})
        pages = pages_of(body)
        cost = sum(page_cost(first) if self.indexation else 40_001 for _, _, first, _ in pages)
        if cost > self.complexity:
            return self._response(None, "Query is too complex.", bare=True)
        for name, owner, _, _ in pages:
            if owner in self.refused_owners:
                return self._response(None, "resolver failed", path=[name])
        if self.height is not None:
            self.height += self.blocks_per_request
        data = {name: self._page(owner, first, after) for name, owner, first, after in pages}
        return self._response(data)

    def _page(self, owner: str, first: int, after: str | None) -> dict[str, Any]:
        rows = self.balances.get(owner, [])
        start = 0 if after is None else [row[0] for row in rows].index(after) + 1
        shown = rows[start : start + first]
        return {
            "nodes": [{"assetId": a, "amountU128": str(amount)} for a, amount in shown],
            "pageInfo": {
                "hasNextPage": start + first < len(rows),
                "endCursor": shown[-1][0] if shown else None,
            },
        }

    def _response(
        self,
        data: dict[str, Any] | None,
        message: str | None = None,
        path: list[str] | None = None,
        *,
        bare: bool = False,
        **extensions: object,
    ) -> httpx.Response:
        document: dict[str, Any] = {"data": data}
        if self.height is not None and not bare:
            document["extensions"] = {"current_fuel_block_height": self.height, **extensions}
        if message is not None:
            error: dict[str, Any] = {"message": message}
            document["errors"] = [error | ({"path": path} if path else {})]
        return httpx.Response(200, json=document)


def pages_of(body: dict[str, Any]) -> list[tuple[str, str, int, str | None]]:
    """Return alias, owner, first and after of each page that a request asks for."""
    operation = parse(body["query"]).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return [
        _page_of(selection, body["variables"])
        for selection in operation.selection_set.selections
        if isinstance(selection, FieldNode)
    ]


def _page_of(field_node: FieldNode, variables: dict[str, str]) -> tuple[str, str, int, str | None]:
    assert field_node.alias is not None
    arguments: dict[str, Any] = {a.name.value: a.value for a in field_node.arguments or ()}
    owner = arguments["filter"].fields[0].value
    assert isinstance(owner, VariableNode)
    first = arguments["first"]
    assert isinstance(first, IntValueNode)
    after = variables[arguments["after"].name.value] if "after" in arguments else None
    return field_node.alias.value, variables[owner.name.value], int(first.value), after


def owners_of(body: dict[str, Any]) -> list[str]:
    return [owner for _, owner, _, _ in pages_of(body)]
