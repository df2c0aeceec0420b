"""Pages of a list, by the node's rules.

`first` walks forwards and `last` walks backwards, so the edges of `last` come in that reversed
order; `hasNextPage` means "more in the direction of the walk" for both. The texts of refusals
are the node's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from graphql import GraphQLError

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PageArguments:
    """What a query asks for; exactly one of `first` and `last`, and the cursor that fits it."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    @property
    def forwards(self) -> bool:
        """Tell whether the walk goes forwards."""
        return self.first is not None

    @property
    def count(self) -> int:
        """Return the size of the page."""
        return (self.first if self.first is not None else self.last) or 0

    @property
    def cursor(self) -> str | None:
        """Return where the walk goes on."""
        return self.after if self.forwards else self.before

    def check(self) -> None:
        """Check the combination.

        Raises:
            GraphQLError: the node refuses it.
        """
        if self.first is not None and self.last is not None:
            raise GraphQLError(
                f"Either first `{self.first}` or latest `{self.last}` elements, not both"
            )
        if self.after is not None and self.last is not None:
            raise GraphQLError(
                f'After `"{self.after}"` with last `{self.last}` elements is not supported'
            )
        if self.before is not None and self.first is not None:
            raise GraphQLError(
                f'Before `"{self.before}"` with first `{self.first}` elements is not supported'
            )
        if self.first is None and self.last is None:
            raise GraphQLError("The queries for the whole range is not supported")
        for name, count in (("first", self.first), ("last", self.last)):
            if count is not None and count < 0:
                raise GraphQLError(f'The "{name}" parameter must be a non-negative number')


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """A sorted list that can be paged.

    Attributes:
        items: in ascending order.
        key: what they are sorted by.
        cursor: how an item is written as a cursor.
        parse: how a cursor is read back as a key; raises GraphQLError.
    """

    items: Sequence[Item]
    key: Callable[[Item], Any]
    cursor: Callable[[Item], str]
    parse: Callable[[str], Any]


def page(
    listing: Listing[Item], arguments: PageArguments, breaks_off_after: int | None = None
) -> dict[str, Any]:
    """Return a connection: the page's nodes, edges and page info.

    With `breaks_off_after` the walk ends there unnoticed, as the real node's does when its
    storage fails.

    Raises:
        GraphQLError: the node refuses the arguments.
    """
    arguments.check()
    start, met_cursor = _start(listing, arguments)
    walk: Sequence[Item]
    if arguments.forwards:
        walk = listing.items[start : start + arguments.count + 1]
    else:
        walk = listing.items[max(0, start - arguments.count - 1) : start][::-1]
    if breaks_off_after is not None:
        walk = walk[:breaks_off_after]
    nodes = walk[: arguments.count]
    return connection(nodes, listing.cursor, more=len(walk) > len(nodes), skipped=met_cursor)


def connection(
    nodes: Sequence[Item], cursor: Callable[[Item], str], *, more: bool, skipped: bool
) -> dict[str, Any]:
    """Return a connection in the schema's shape."""
    return {
        "nodes": nodes,
        "edges": [{"node": node, "cursor": cursor(node)} for node in nodes],
        "pageInfo": {
            "hasNextPage": more,
            "hasPreviousPage": skipped,
            "startCursor": cursor(nodes[0]) if nodes else None,
            "endCursor": cursor(nodes[-1]) if nodes else None,
        },
    }


def _start(listing: Listing[Item], arguments: PageArguments) -> tuple[int, bool]:
    if arguments.cursor is None:
        return (0 if arguments.forwards else len(listing.items)), False
    key = listing.parse(arguments.cursor)
    place = bisect_left(listing.items, key, key=listing.key)
    met = place < len(listing.items) and listing.key(listing.items[place]) == key
    if arguments.forwards:
        return place + met, met
    return place, met
