"""Execution of one GraphQL request on one node."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    execute,
)

from devnet.documents import Document, DocumentReader
from devnet.heights import answer_extensions
from devnet.node import ReadView
from devnet.options import Limits
from devnet.schema import served_schema

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class GraphqlRequest:
    """The body of a request."""

    query: str = ""
    variables: dict[str, Any] = field(default_factory=dict)
    operation_name: str | None = None
    extensions: dict[str, Any] | None = None


class Executor:
    """Executes requests against the schema, within the limits."""

    def __init__(self, limits: Limits) -> None:
        self.schema = served_schema()
        self.limits = limits
        self.reader = DocumentReader(self.schema, limits)

    def prepare(
        self, request: GraphqlRequest, *, indexation: bool
    ) -> tuple[Document, OperationDefinitionNode] | Answer:
        """Read a request; the answer that refuses it, when it breaks a rule or a limit."""
        document = self.reader.read(request.query)
        if document.errors:
            return refused(*document.errors)
        try:
            operation = document.operation(request.operation_name)
        except GraphQLError as error:
            return refused(error)
        cost = self.reader.cost(document, operation, request.variables, indexation=indexation)
        if cost.complexity > self.limits.complexity:
            return refused(GraphQLError("Query is too complex."))
        if cost.depth > self.limits.depth:
            return refused(GraphQLError("Query is nested too deep."))
        return document, operation

    def execute(self, request: GraphqlRequest, view: ReadView) -> Answer:
        """Answer a query or a mutation."""
        prepared = self.prepare(request, indexation=view.node.indexation)
        if isinstance(prepared, dict):
            return prepared
        document, operation = prepared
        if operation.operation is OperationType.SUBSCRIPTION:
            return refused(GraphQLError("Subscriptions are not supported on this transport."))
        result = execute(
            self.schema,
            document.node or DocumentNode(),
            context_value=view,
            variable_values=request.variables,
            operation_name=request.operation_name,
            is_awaitable=_never,
        )
        if not isinstance(result, ExecutionResult):
            raise TypeError("a resolver waits")
        return answer(result, view)


def _never(_value: Any) -> TypeGuard[Awaitable[Any]]:
    """Tell graphql-core that no resolver waits, which saves it asking at every field."""
    return False


def answer(result: ExecutionResult, view: ReadView) -> Answer:
    """Return a result in the node's shape: the first error wins, and then there is no data."""
    extensions = answer_extensions(view.node)
    if result.errors:
        return {"data": None, "extensions": extensions, "errors": [formatted(result.errors[0])]}
    return {"data": result.data, "extensions": extensions}


def refused(*errors: GraphQLError) -> Answer:
    """Return the answer to a request that is not executed: no extensions."""
    return {"data": None, "errors": [formatted(error) for error in errors]}


def formatted(error: GraphQLError) -> dict[str, Any]:
    """Return an error in the node's shape."""
    shown: dict[str, Any] = {"message": error.message}
    if error.locations:
        shown["locations"] = [
            {"line": location.line, "column": location.column} for location in error.locations
        ]
    if error.path:
        shown["path"] = error.path
    return shown
