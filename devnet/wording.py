"""The node's words for what graphql-core says otherwise.

The texts are those of async-graphql 7, on which the node is built. Where we do not know its text
graphql-core's stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from graphql import GraphQLError, GraphQLSyntaxError

_Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

_SUGGESTIONS = re.compile(r"Did you mean (?:the argument )?(.*)\?$")
_QUOTED = re.compile(r"'(\w+)'")


def _suggestions(message: str) -> str:
    found = _SUGGESTIONS.search(message)
    names = _QUOTED.findall(found[1]) if found else []
    shown = ", ".join('"' + name + '"' for name in reversed(names))
    return f" Did you mean {shown}?" if names else ""


_RULES: list[_Rule] = [
    (
        re.compile(r"^Cannot query field '(\w+)' on type '(\w+)'\."),
        lambda m: f'Unknown field "{m[1]}" on type "{m[2]}".{_suggestions(m.string)}',
    ),
    (
        re.compile(r"^Unknown argument '(\w+)' on field '(\w+)\.(\w+)'\."),
        lambda m: (
            f'Unknown argument "{m[1]}" on field "{m[3]}" of type "{m[2]}".{_suggestions(m.string)}'
        ),
    ),
    (
        re.compile(r"^(?:Field|Argument) '(\w+)\.(\w+)(?:\((\w+):\))?'? .*required"),
        lambda m: f'Field "{m[2]}" argument "{m[3]}" of type "{m[1]}" is required but not provided',
    ),
    (re.compile(r"^Unknown fragment '(\w+)'"), lambda m: f'Unknown fragment: "{m[1]}"'),
    (re.compile(r"^Unknown type '(\w+)'"), lambda m: f'Unknown type "{m[1]}"'),
    (re.compile(r"^Unknown directive '@(\w+)'"), lambda m: f'Unknown directive "{m[1]}"'),
    (re.compile(r"^Fragment '(\w+)' is never used"), lambda m: f'Fragment "{m[1]}" is never used'),
    (
        re.compile(r"^Variable '(\$\w+)' is not defined(?: by operation '(\w+)')?"),
        lambda m: f'Variable "{m[1]}" is not defined{_by_operation(m[2])}',
    ),
    (
        re.compile(r"^Variable '(\$\w+)' is never used(?: in operation '(\w+)')?"),
        lambda m: f'Variable "{m[1]}" is not used{_by_operation(m[2])}',
    ),
    (
        re.compile(r"^Field '(\w+)' must not have a selection since type '([^']+)' has"),
        lambda m: f'Field "{m[1]}" must not have a selection since type "{m[2]}" has no subfields',
    ),
    (
        re.compile(r"^Field '(\w+)' of type '([^']+)' must have a selection"),
        lambda m: f'Field "{m[1]}" of type "{m[2]}" must have a selection of subfields',
    ),
]


def _by_operation(name: str | None) -> str:
    return f' by operation "{name}"' if name else ""


def reworded(error: GraphQLError) -> GraphQLError:
    """Return the error in the node's words."""
    if isinstance(error, GraphQLSyntaxError):
        return _syntax_error(error)
    for pattern, text in _RULES:
        found = pattern.match(error.message)
        if found:
            return GraphQLError(text(found), nodes=error.nodes)
    return error


def _syntax_error(error: GraphQLSyntaxError) -> GraphQLError:
    """Write a syntax error as the node's parser does: the line, a caret, what was expected."""
    if error.source is None or not error.locations:
        return error
    where = error.locations[0]
    line = (error.source.body.splitlines() or [""])[where.line - 1 : where.line]
    margin = " " * len(str(where.line))
    what = error.message.removeprefix("Syntax Error: ")
    message = (
        f"{margin}--> {where.line}:{where.column}\n"
        f"{margin} |\n"
        f"{where.line} | {''.join(line)}\n"
        f"{margin} | {' ' * (where.column - 1)}^---\n"
        f"{margin} |\n"
        f"{margin} = {what[:1].lower()}{what[1:].rstrip('.')}"
    )
    return GraphQLError(message, source=error.source, positions=error.positions)
