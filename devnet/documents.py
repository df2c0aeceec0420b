"""Reading of queries: parsed and validated once for each text.

Clients send few different texts with many different variables, and reading one with 200 aliases
takes longer than answering it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    parse,
    validate,
)

from devnet.complexity import Cost, CostCounter
from devnet.options import Limits
from devnet.structure import RecursionFinder, directives_error, nesting_error
from devnet.wording import reworded

_KEPT_CHARACTERS = 500_000
"""Of texts in all: a document takes about 130 bytes of memory for each character."""

_KEPT_COSTS = 512


@dataclass(frozen=True, slots=True)
class Document:
    """A text that was read: either a document or the errors that refuse it."""

    text: str
    node: DocumentNode | None
    errors: tuple[GraphQLError, ...] = ()
    operations: tuple[OperationDefinitionNode, ...] = ()
    fragments: dict[str, FragmentDefinitionNode] = field(default_factory=dict)

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """Return the operation to execute.

        Raises:
            GraphQLError: it is not named clearly, or there is none of that name.
        """
        if name is None:
            if len(self.operations) == 1:
                return self.operations[0]
            raise GraphQLError("Operation name required in request.")
        for operation in self.operations:
            if operation.name is not None and operation.name.value == name:
                return operation
        raise GraphQLError(f'Unknown operation named "{name}".')


class DocumentReader:
    """Reads texts, and remembers the last ones."""

    def __init__(self, schema: GraphQLSchema, limits: Limits) -> None:
        self._schema = schema
        self._limits = limits
        self._documents: OrderedDict[str, Document] = OrderedDict()
        self._characters = 0
        self._costs: OrderedDict[Any, Cost] = OrderedDict()

    def read(self, text: str) -> Document:
        """Return the document of a text."""
        document = self._documents.get(text)
        if document is None:
            document = self._read(text)
            self._documents[text] = document
            self._characters += len(text)
            self._forget()
        return document

    def _forget(self) -> None:
        while self._characters > _KEPT_CHARACTERS:
            text, _document = self._documents.popitem(last=False)
            self._characters -= len(text)

    def cost(
        self,
        document: Document,
        operation: OperationDefinitionNode,
        variables: dict[str, Any],
        *,
        indexation: bool,
    ) -> Cost:
        """Return what an operation of a valid document costs with these variables."""
        numbers = tuple(
            (name, value) for name, value in variables.items() if isinstance(value, int)
        )
        name = None if operation.name is None else operation.name.value
        key = (document.text, name, numbers, indexation)
        cost = self._costs.get(key)
        if cost is None:
            counter = CostCounter(
                self._schema, document.fragments, variables, indexation=indexation
            )
            cost = counter.count(operation)
            self._costs[key] = cost
            if len(self._costs) > _KEPT_COSTS:
                self._costs.popitem(last=False)
        return cost

    def _read(self, text: str) -> Document:
        try:
            node = parse(text)
        except GraphQLSyntaxError as error:
            return Document(text, None, (reworded(error),))
        operations = [one for one in node.definitions if isinstance(one, OperationDefinitionNode)]
        definitions = [one for one in node.definitions if isinstance(one, FragmentDefinitionNode)]
        fragments = {fragment.name.value: fragment for fragment in definitions}
        errors = self._check(node, operations, fragments)
        return Document(text, node, errors, tuple(operations), fragments)

    def _check(
        self,
        node: DocumentNode,
        operations: list[OperationDefinitionNode],
        fragments: dict[str, FragmentDefinitionNode],
    ) -> tuple[GraphQLError, ...]:
        form = nesting_error(operations, fragments, self._limits)
        form = form or directives_error(_fields(node), self._limits)
        if form is not None:
            return (form,)
        errors = tuple(reworded(error) for error in validate(self._schema, node))
        if errors:
            return errors
        finder = RecursionFinder(self._schema, fragments)
        return tuple(filter(None, (finder.find(operation) for operation in operations)))


def _fields(node: DocumentNode) -> Iterator[FieldNode]:
    waiting: list[Any] = [getattr(one, "selection_set", None) for one in node.definitions]
    while waiting:
        selections = waiting.pop()
        for selection in () if selections is None else selections.selections:
            if isinstance(selection, FieldNode):
                yield selection
            waiting.append(getattr(selection, "selection_set", None))
