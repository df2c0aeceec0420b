"""The node's HTTP side: ``POST /v1/graphql``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from graphql import FieldNode, InlineFragmentNode, OperationDefinitionNode
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from devnet.bodies import HttpRefusalError, check_content_type, check_size, read_body
from devnet.execution import Answer, GraphqlRequest
from devnet.fault_effects import altered, answer_instead, damaged, delay, instead, lagging
from devnet.faults import Fault
from devnet.heights import refusal, required_height
from devnet.node import Node
from devnet.request_log import RequestRecord
from devnet.state import Devnet

CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "*",
    "access-control-allow-headers": "*",
}


def serialized(answer: Answer) -> bytes:
    """Return an answer as the node writes it."""
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()


class GraphqlEndpoint:
    """Answers GraphQL requests on the node whose turn it is, or on a named one."""

    def __init__(self, devnet: Devnet) -> None:
        self._devnet = devnet

    async def __call__(self, request: Request) -> Response:
        """Answer one request, and log it."""
        record = RequestRecord("graphql")
        arrival = asyncio.get_running_loop().time()
        # Requests that arrive together have arrived before the first of them is worked on.
        await asyncio.sleep(0)
        try:
            response = await self._within_time(request, record, arrival)
            record.status, record.bytes_out = response.status_code, len(response.body)
        finally:
            self._devnet.log.add(record)
        return response

    async def _within_time(
        self, request: Request, record: RequestRecord, arrival: float
    ) -> Response:
        try:
            async with asyncio.timeout(self._devnet.options.limits.request_seconds):
                return await self._respond(request, record, arrival)
        except TimeoutError:
            return Response(status_code=408, headers=CORS)
        except HttpRefusalError as error:
            return PlainTextResponse(error.text, error.status, headers=CORS)

    async def _respond(self, request: Request, record: RequestRecord, arrival: float) -> Response:
        asked = await read_request(request, self._devnet, record)
        node = chosen_node(request, self._devnet, record)
        fault = self._devnet.faults.draw(node.number, record.operation)
        record.fault = None if fault is None else fault.kind.value
        # The node reads at once and its answer takes the whole latency to arrive: that is the
        # hardest case for a cache, because an answer is then as old as it can be.
        clock = asyncio.get_running_loop().time
        latency = self._devnet.latency.draw_seconds()
        begun = clock()
        await delay(fault)
        response = instead(fault, self._devnet.connections)
        if response is None:
            seen = lagging(node, fault)
            behind = await self._refusal(asked, seen)
            latency += clock() - begun
            answer = behind or self._answer(asked, seen, fault)
            describe_answer(record, answer)
            whole = Response(serialized(answer), media_type="application/json", headers=CORS)
            response = damaged(whole, fault, self._devnet.connections)
        # Our own work is part of the latency; what the node waited for is not.
        await asyncio.sleep(max(0.0, arrival + latency - clock()))
        return response

    async def _refusal(self, asked: GraphqlRequest, node: Node) -> Answer | None:
        required = required_height(asked.extensions)
        return await refusal(node, required, self._devnet.options.limits)

    def _answer(self, asked: GraphqlRequest, node: Node, fault: Fault | None) -> Answer:
        failed = answer_instead(fault, node)
        return failed or self._devnet.executor.execute(asked, altered(node.view(), fault))


async def read_request(request: Request, devnet: Devnet, record: RequestRecord) -> GraphqlRequest:
    """Read and describe a request.

    Raises:
        HttpRefusalError: it is no GraphQL request.
    """
    check_content_type(request.headers.get("content-type"))
    most = devnet.options.limits.body_bytes
    check_size(int(request.headers.get("content-length", 0)), most)
    body = bytearray()
    async for part in request.stream():  # it may come without a length
        body += part
        record.bytes_in = len(body)
        check_size(len(body), most)
    asked = read_body(bytes(body))
    record.operation = asked.operation_name
    record.required_height = required_height(asked.extensions)
    describe_fields(record, asked, devnet)
    return asked


def chosen_node(request: Request, devnet: Devnet, record: RequestRecord) -> Node:
    """Return the node of the path, or the one whose turn it is.

    Raises:
        HttpRefusalError: 404, there is no node of that number.
    """
    number = request.path_params.get("node")
    node = devnet.nodes.next() if number is None else devnet.nodes.get(number)
    if node is None:
        raise HttpRefusalError(404, f"there is no node {number}")
    record.node = node.number
    return node


def describe_fields(record: RequestRecord, asked: GraphqlRequest, devnet: Devnet) -> None:
    """Count what a request asks for: fields of the root, and different owners."""
    document = devnet.executor.reader.read(asked.query)
    owners: set[str] = set()
    for operation in document.operations:
        if asked.operation_name is None and operation.name is not None:
            record.operation = operation.name.value
        fields = list(_root_fields(operation))
        record.fields += len(fields)
        for one in fields:
            owners.update(_owners(one, asked.variables))
    record.owners = len(owners)


def describe_answer(record: RequestRecord, answer: Answer) -> None:
    """Note the first error of an answer."""
    errors = answer.get("errors")
    if errors:
        record.error = errors[0]["message"]


def _root_fields(operation: OperationDefinitionNode) -> Iterable[FieldNode]:
    for selection in operation.selection_set.selections:
        if isinstance(selection, FieldNode):
            yield selection
        elif isinstance(selection, InlineFragmentNode):
            nested = selection.selection_set.selections
            yield from (one for one in nested if isinstance(one, FieldNode))


def _owners(one: FieldNode, variables: dict[str, Any]) -> Iterable[str]:
    for argument in one.arguments or ():
        value = argument.value
        name = argument.name.value
        if name == "filter" and value.kind == "object_value":
            for entry in getattr(value, "fields", ()):
                if entry.name.value == "owner":
                    yield from _text(entry.value, variables)
        elif name in {"owner", "filter"}:
            yield from _text(value, variables)


def _text(value: Any, variables: dict[str, Any]) -> Iterable[str]:
    if value.kind == "variable":
        given = variables.get(value.name.value)
        given = given.get("owner") if isinstance(given, dict) else given
    else:
        given = getattr(value, "value", None)
    if isinstance(given, str):
        yield given.lower()
