"""What a query costs and how deep it is, by fuel-core's rules.

Any field costs 1 and what it selects, `__typename` nothing; fragments count where they are
spread, and `@include(if: false)` saves nothing. What is dearer is listed here. `balances` with
the index costs its selection for each row that may come back, times 0.66 in 32-bit floats;
without the index any balance query costs half the default limit, so that one fits.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
)

WITHOUT_INDEX = 40_001

_BASE_COSTS = {
    "Query.nodeInfo": 40,
    "Query.transaction": 40,
    "Query.block": 600,
    "ChainInfo.name": 40,
    "ChainInfo.daHeight": 40,
    "ChainInfo.latestBlock": 40,
    "ChainInfo.consensusParameters": 40,
    "ChainInfo.gasCosts": 40,
    "NodeInfo.txPoolStats": 40,
    "Block.consensus": 40,
    "Block.transactions": 6_000,
    "Block.transactionIds": 200,
    "Transaction.status": 200,
    "SuccessStatus.transaction": 40,
    "FailureStatus.transaction": 40,
}
_BLOCK_HEADER = 600


@dataclass(frozen=True, slots=True)
class Cost:
    """The two figures that have limits."""

    complexity: int = 0
    depth: int = 0


class CostCounter:
    """Counts one operation, with the values of its variables."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, Any],
        *,
        indexation: bool,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._variables = variables
        self._indexation = indexation
        self._of_fragments: dict[str, Cost] = {}

    def count(self, operation: OperationDefinitionNode) -> Cost:
        """Return the cost of an operation that has been validated."""
        root = self._schema.get_root_type(operation.operation)
        return self._selections(operation.selection_set, root)

    def _selections(self, selections: SelectionSetNode, parent: GraphQLNamedType | None) -> Cost:
        complexity = depth = 0
        for selection in selections.selections:
            if isinstance(selection, FieldNode):
                cost = self._field(selection, parent)
            elif isinstance(selection, FragmentSpreadNode):
                cost = self._fragment(selection.name.value)
            else:
                cost = self._inline(selection, parent)
            complexity += cost.complexity
            depth = max(depth, cost.depth)
        return Cost(complexity, depth)

    def _inline(self, selection: Any, parent: GraphQLNamedType | None) -> Cost:
        if isinstance(selection, InlineFragmentNode) and selection.type_condition is not None:
            parent = self._schema.type_map[selection.type_condition.name.value]
        return self._selections(selection.selection_set, parent)

    def _fragment(self, name: str) -> Cost:
        if name not in self._of_fragments:
            fragment = self._fragments[name]
            parent = self._schema.type_map[fragment.type_condition.name.value]
            self._of_fragments[name] = self._selections(fragment.selection_set, parent)
        return self._of_fragments[name]

    def _field(self, field: FieldNode, parent: GraphQLNamedType | None) -> Cost:
        name = field.name.value
        if name.startswith("__") or parent is None:
            return Cost(0, 0 if name == "__typename" else 1)
        child = Cost()
        if field.selection_set is not None:
            definition = getattr(parent, "fields", {})[name]
            child = self._selections(field.selection_set, get_named_type(definition.type))
        path = f"{parent.name}.{name}"
        return Cost(self._complexity(path, field, child.complexity), child.depth + 1)

    def _complexity(self, path: str, field: FieldNode, child: int) -> int:
        if path in {"Query.balance", "Query.balances"} and not self._indexation:
            return WITHOUT_INDEX
        if path == "Query.balance":
            return 0
        first, last = self._number(field, "first"), self._number(field, "last")
        if path == "Query.balances":
            return _rows(child, first) + _rows(child, last)
        if path == "Query.blocks":
            return (_BLOCK_HEADER + child) * (first + last)
        return _BASE_COSTS.get(path, 1) + child

    def _number(self, field: FieldNode, name: str) -> int:
        for argument in field.arguments or ():
            if argument.name.value != name:
                continue
            value = argument.value
            if isinstance(value, IntValueNode):
                return max(0, int(value.value))
            if isinstance(value, VariableNode):
                given = self._variables.get(value.name.value)
                return max(0, given) if isinstance(given, int) else 0
        return 0


def _rows(child: int, count: int) -> int:
    return int(_f32(_f32(float(child) * count) * _f32(0.66)))


def _f32(number: float) -> float:
    rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    return rounded
