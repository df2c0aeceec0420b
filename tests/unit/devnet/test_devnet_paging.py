from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLError

from devnet.paging import Listing, PageArguments, page

LISTING = Listing(items=[10, 20, 30, 40], key=lambda item: item, cursor=str, parse=int)


def fetch(
    breaks_off_after: int | None = None, **arguments: Any
) -> tuple[list[int], dict[str, Any]]:
    found = page(LISTING, PageArguments(**arguments), breaks_off_after)
    return list(found["nodes"]), found["pageInfo"]


def test_the_first_page_has_a_next_one_and_none_before() -> None:
    nodes, info = fetch(first=2)
    assert nodes == [10, 20]
    assert info == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": "10",
        "endCursor": "20",
    }


def test_pages_follow_each_other_to_the_end() -> None:
    nodes, info = fetch(first=2, after="20")
    assert nodes == [30, 40]
    assert info["hasNextPage"] is False
    assert info["hasPreviousPage"] is True


def test_a_cursor_that_is_not_in_the_list_goes_on_behind_its_place() -> None:
    nodes, info = fetch(first=2, after="25")
    assert nodes == [30, 40]
    assert info["hasPreviousPage"] is False


def test_the_last_elements_come_in_reversed_order() -> None:
    nodes, info = fetch(last=3)
    assert nodes == [40, 30, 20]
    assert info["hasNextPage"] is True
    assert info["startCursor"] == "40"


def test_before_goes_on_backwards() -> None:
    nodes, info = fetch(last=5, before="20")
    assert nodes == [10]
    assert info["hasNextPage"] is False
    assert info["hasPreviousPage"] is True


def test_a_page_of_nothing_knows_that_there_is_more() -> None:
    nodes, info = fetch(first=0)
    assert nodes == []
    assert info == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": None,
        "endCursor": None,
    }


def test_a_swallowed_error_looks_like_the_end_of_the_list() -> None:
    nodes, info = fetch(breaks_off_after=1, first=2)
    assert nodes == [10]
    assert info["hasNextPage"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "The queries for the whole range is not supported"),
        ({"first": 2, "last": 2}, "Either first `2` or latest `2` elements, not both"),
        ({"last": 2, "after": "a"}, 'After `"a"` with last `2` elements is not supported'),
        ({"first": 2, "before": "a"}, 'Before `"a"` with first `2` elements is not supported'),
        ({"first": -1}, 'The "first" parameter must be a non-negative number'),
        ({"last": -1}, 'The "last" parameter must be a non-negative number'),
    ],
)
def test_other_combinations_are_refused_in_the_nodes_words(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(GraphQLError) as caught:
        fetch(**arguments)
    assert caught.value.message == message
