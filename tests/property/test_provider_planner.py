"""Laws of the planner: every vault exactly once, in order, and no request above the limits."""

from __future__ import annotations

import itertools
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from provider.costs import OWNERS_PER_REQUEST, page_cost, usable, widest_page
from provider.planner import Limits, Page, plan, request_cost
from provider.queries import balances_body
from tests.fake_node import address, pages_of

BODY_LIMIT = 1_048_576
"""`--graphql-request-body-bytes-limit` of an unconfigured node."""

limits_of_nodes = st.builds(
    Limits,
    complexity=st.integers(1, 200_000),
    indexation=st.booleans(),
    owners=st.integers(1, OWNERS_PER_REQUEST),
)
pages = st.lists(
    st.builds(
        Page,
        address=st.integers(0, 2**256 - 1).map(address),
        first=st.sampled_from([1, 10, 100, 1_000, 20_000]),
        after=st.none() | st.integers(0, 2**256 - 1).map(address),
    ),
    max_size=450,
)


@settings(deadline=None)
@given(pages, limits_of_nodes)
def test_a_plan_holds_every_page_once_and_in_order(asked: list[Page], limits: Limits) -> None:
    assert [page for request in plan(asked, limits) for page in request] == asked


@settings(deadline=None)
@given(pages, limits_of_nodes)
def test_no_request_of_a_plan_is_above_the_limits(asked: list[Page], limits: Limits) -> None:
    for request in plan(asked, limits):
        assert request
        if len(request) == 1:
            continue  # one page alone may be above them: the node decides
        assert limits.indexation
        assert len(request) <= limits.owners
        assert request_cost(request) <= usable(limits.complexity) <= limits.complexity


@settings(deadline=None)
@given(pages, limits_of_nodes)
def test_a_plan_is_no_longer_than_it_must_be(asked: list[Page], limits: Limits) -> None:
    """Two neighbours are apart only because they do not fit together."""
    requests = plan(asked, limits)
    for left, right in itertools.pairwise(requests):
        joined = [*left, right[0]]
        assert not limits.allow(len(joined), request_cost(joined))


@settings(deadline=None)
@given(pages)
def test_every_request_that_is_planned_can_be_sent(asked: list[Page]) -> None:
    for request in plan(asked, Limits(owners=OWNERS_PER_REQUEST)):
        body = balances_body(request, 2**32 - 1)
        assert len(json.dumps(body)) < BODY_LIMIT
        assert [Page(owner, first, after) for _, owner, first, after in pages_of(dict(body))] == [
            *request
        ]


@settings(deadline=None)
@given(st.integers(1, 500_000))
def test_the_widest_page_fits_and_one_more_asset_would_not(limit: int) -> None:
    widest = widest_page(limit)
    assert widest == 1 or page_cost(widest) <= usable(limit)
    assert page_cost(widest + 1) > usable(limit)


@settings(deadline=None)
@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_a_larger_page_never_costs_less(first: int, second: int) -> None:
    small, large = sorted((first, second))
    assert page_cost(small) <= page_cost(large)


def test_costs_are_those_of_the_node() -> None:
    """Owners that fit into a request at the default limit, by page size (32-bit floats)."""
    fits = {first: 80_000 // page_cost(first) for first in (10, 20, 50, 100, 200, 1000)}
    assert fits == {10: 2051, 20: 1012, 50: 404, 100: 202, 200: 101, 1000: 20}
    assert len(plan([Page(address(n), 100) for n in range(2000)], Limits())) == 10
