"""Limits of a query's form: how deep it nests, how often a type occurs on one path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    get_named_type,
)

from devnet.options import Limits

_MOST_VISITS = 1
"""How often a type may be met on one path (`--graphql-max-resolver-recursive-depth`)."""

Fragments = Mapping[str, FragmentDefinitionNode]


def nesting_error(
    operations: list[OperationDefinitionNode], fragments: Fragments, limits: Limits
) -> GraphQLError | None:
    """Return the refusal of a query that nests selections too deep, before it is validated."""
    if all(_nesting(one.selection_set, fragments, limits.recursion) for one in operations):
        return None
    return GraphQLError(
        f"The recursion depth of the query cannot be greater than `{limits.recursion}`"
    )


def _nesting(selections: SelectionSetNode, fragments: Fragments, left: int) -> bool:
    """Tell whether selections nest no deeper than what is left; a fragment's cycle does."""
    if left <= 0:
        return False
    nested = [_selection_set(selection, fragments) for selection in selections.selections]
    different = {id(one): one for one in nested if one is not None}  # aliases share fragments
    return all(_nesting(one, fragments, left - 1) for one in different.values())


def _selection_set(selection: SelectionNode, fragments: Fragments) -> SelectionSetNode | None:
    if isinstance(selection, FragmentSpreadNode):
        fragment = fragments.get(selection.name.value)
        return None if fragment is None else fragment.selection_set
    if isinstance(selection, (FieldNode, InlineFragmentNode)):
        return selection.selection_set
    return None


def directives_error(document_fields: Iterator[FieldNode], limits: Limits) -> GraphQLError | None:
    """Return the refusal of a field with too many directives."""
    for field in document_fields:
        if len(field.directives or ()) > limits.directives:
            return GraphQLError(
                f"The number of directives on the field `{field.name.value}` "
                f"cannot be greater than `{limits.directives}`",
                nodes=[field],
            )
    return None


class RecursionFinder:
    """Finds fields that lead back to a type on the path to them."""

    def __init__(self, schema: GraphQLSchema, fragments: Fragments) -> None:
        self._schema = schema
        self._fragments = fragments
        self._clean: set[tuple[str, tuple[str, ...]]] = set()

    def find(self, operation: OperationDefinitionNode) -> GraphQLError | None:
        """Return the refusal of the first such field."""
        root = self._schema.get_root_type(operation.operation)
        field = self._selections(operation.selection_set, root, ())
        if field is None:
            return None
        return GraphQLError(f"Recursion detected for field `{field.name.value}`", nodes=[field])

    def _selections(
        self, selections: SelectionSetNode, parent: GraphQLNamedType | None, path: tuple[str, ...]
    ) -> FieldNode | None:
        for selection in selections.selections:
            found = self._selection(selection, parent, path)
            if found is not None:
                return found
        return None

    def _selection(
        self, selection: SelectionNode, parent: GraphQLNamedType | None, path: tuple[str, ...]
    ) -> FieldNode | None:
        if isinstance(selection, FieldNode):
            return self._field(selection, parent, path)
        if isinstance(selection, FragmentSpreadNode):
            return self._fragment(selection.name.value, path)
        if isinstance(selection, InlineFragmentNode):
            if selection.type_condition is not None:
                parent = self._schema.type_map[selection.type_condition.name.value]
            return self._selections(selection.selection_set, parent, path)
        return None

    def _fragment(self, name: str, path: tuple[str, ...]) -> FieldNode | None:
        if (name, path) in self._clean:  # hundreds of aliases spread one fragment
            return None
        fragment = self._fragments[name]
        parent = self._schema.type_map[fragment.type_condition.name.value]
        found = self._selections(fragment.selection_set, parent, path)
        if found is None:
            self._clean.add((name, path))
        return found

    def _field(
        self, field: FieldNode, parent: GraphQLNamedType | None, path: tuple[str, ...]
    ) -> FieldNode | None:
        name = field.name.value
        if parent is None or parent.name.startswith("__") or name.startswith("__"):
            return None
        if path.count(parent.name) >= _MOST_VISITS:
            return field
        if field.selection_set is None:
            return None
        definition = getattr(parent, "fields", {})[name]
        child = get_named_type(definition.type)
        return self._selections(field.selection_set, child, (*path, parent.name))
