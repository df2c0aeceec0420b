"""``POST /v1/graphql-sub``: answers as server-sent events.

Each event is a whole GraphQL answer. Errors come as events too, with HTTP 200, and end the
stream. Queries and mutations are answered by one event.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from graphql import DocumentNode, ExecutionResult, OperationType, subscribe
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from devnet.bodies import HttpRefusalError
from devnet.execution import Answer, GraphqlRequest, answer, refused
from devnet.fault_effects import altered, delay, instead, lagging
from devnet.faults import Fault, FaultKind
from devnet.graphql_http import CORS, chosen_node, describe_answer, read_request, serialized
from devnet.heights import refusal, required_height
from devnet.node import Node
from devnet.request_log import RequestRecord
from devnet.state import Devnet

KEEP_ALIVE_SECONDS = 15.0
_KEEP_ALIVE = b":keep-alive-text\n\n"


class StreamEndpoint:
    """Answers requests by streams of events."""

    def __init__(self, devnet: Devnet) -> None:
        self._devnet = devnet

    async def __call__(self, request: Request) -> Response:
        """Begin a stream; it is logged when it ends."""
        record = RequestRecord("subscription")
        try:
            return await self._begin(request, record)
        except HttpRefusalError as error:
            record.status = error.status
            self._devnet.log.add(record)
            return PlainTextResponse(error.text, error.status, headers=CORS)

    async def _begin(self, request: Request, record: RequestRecord) -> Response:
        asked = await read_request(request, self._devnet, record)
        node = chosen_node(request, self._devnet, record)
        fault = self._devnet.faults.draw(node.number, record.operation, streaming=True)
        record.fault = None if fault is None else fault.kind.value
        await asyncio.sleep(self._devnet.latency.draw_seconds())
        await delay(fault)
        response = instead(fault, self._devnet.connections)
        if response is not None:
            record.status = response.status_code
            self._devnet.log.add(record)
            return response
        events = self._logged(self._answers(asked, lagging(node, fault), fault), record, fault)
        headers = {**CORS, "cache-control": "no-cache"}
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    async def _logged(
        self, answers: AsyncGenerator[Answer], record: RequestRecord, fault: Fault | None
    ) -> AsyncIterator[bytes]:
        record.status = 200
        events = 0
        try:
            async for event in _with_keep_alive(answers):
                if event is None:
                    yield _KEEP_ALIVE
                    continue
                describe_answer(record, event)
                written = b"data:" + serialized(event) + b"\n\n"
                record.bytes_out += len(written)
                yield written
                events += 1
                if _cuts(fault, events):
                    return
        finally:
            await answers.aclose()
            self._devnet.log.add(record)

    async def _answers(
        self, asked: GraphqlRequest, node: Node, fault: Fault | None
    ) -> AsyncGenerator[Answer]:
        executor = self._devnet.executor
        behind = await refusal(node, required_height(asked.extensions), executor.limits)
        if behind is not None:
            yield behind
            return
        view = altered(node.view(), fault)
        prepared = executor.prepare(asked, indexation=node.indexation)
        if isinstance(prepared, dict) or prepared[1].operation is not OperationType.SUBSCRIPTION:
            yield executor.execute(asked, view)
            return
        results = await _source(
            subscribe(
                executor.schema,
                prepared[0].node or DocumentNode(),
                context_value=view,
                variable_values=asked.variables,
                operation_name=asked.operation_name,
            )
        )
        if isinstance(results, ExecutionResult):
            yield refused(*(results.errors or [])[:1])
            return
        async for result in results:
            yield answer(result, view)


async def _source(started: object) -> ExecutionResult | AsyncIterator[ExecutionResult]:
    """Wait for a subscription to start, when it has to be waited for."""
    result = await started if hasattr(started, "__await__") else started
    if not isinstance(result, (ExecutionResult, AsyncIterator)):
        raise TypeError(f"no stream: {result!r}")
    return result


async def _with_keep_alive(answers: AsyncIterator[Answer]) -> AsyncIterator[Answer | None]:
    """Yield the answers, and None whenever there was none for a while."""
    while True:
        following = asyncio.ensure_future(anext(answers, None))
        try:
            while not (await asyncio.wait({following}, timeout=KEEP_ALIVE_SECONDS))[0]:
                yield None
        finally:
            if not following.done():
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following
        event = following.result()
        if event is None:
            return
        yield event


def _cuts(fault: Fault | None, events: int) -> bool:
    cut = fault is not None and fault.kind is FaultKind.CUT_STREAM
    return cut and fault is not None and events >= fault.parameters["events"]
