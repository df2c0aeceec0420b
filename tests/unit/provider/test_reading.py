"""When the pages of one vault are believed to be one state."""

from __future__ import annotations

from domain.values import Balance
from provider.answers import PageAnswer
from provider.planner import Limits
from provider.reading import VaultReading
from tests.fake_node import address, asset

NARROW = Limits(complexity=10)
"""A node that takes two assets a page, and no wider page."""


def reading() -> VaultReading:
    return VaultReading(address(1), 0, lambda *_: None)


def page(*amounts: int, last: bool, begin: int = 1) -> PageAnswer:
    balances = tuple(Balance(asset(n), amount) for n, amount in enumerate(amounts, start=begin))
    return PageAnswer(balances, None if last else balances[-1].asset_id)


def two_pages(
    tested: VaultReading,
    amounts: tuple[int, int],
    heights: tuple[int | None, int | None],
    sent: int,
) -> tuple[Balance, ...] | None:
    first = page(amounts[0], last=False)
    assert tested.accept(first, NARROW, sent_height=sent, height=heights[0]) is None
    second = page(amounts[1], last=True, begin=2)
    required = tested.required_height
    return tested.accept(second, NARROW, sent_height=required, height=heights[1])


def test_pages_of_one_proven_height_are_believed_at_once() -> None:
    assert two_pages(reading(), (5, 6), (10, 10), sent=10) is not None


def test_a_first_page_that_may_be_older_than_its_height_is_read_again() -> None:
    tested = reading()
    assert two_pages(tested, (5, 6), (10, 10), sent=9) is None
    assert tested.next_page(NARROW).after is None
    assert two_pages(tested, (4, 6), (10, 10), sent=10) is not None, "now it is proven"


def test_the_lower_bound_is_that_of_the_first_page_of_the_pass_that_is_believed() -> None:
    tested = reading()
    assert two_pages(tested, (5, 6), (10, 11), sent=8) is None
    assert two_pages(tested, (5, 6), (12, 13), sent=11) is not None
    assert tested.lower_height == 11


def test_without_any_height_two_equal_passes_are_needed() -> None:
    tested = reading()
    assert two_pages(tested, (5, 6), (None, None), sent=0) is None
    assert two_pages(tested, (5, 7), (None, None), sent=0) is None
    assert two_pages(tested, (5, 7), (None, None), sent=0) is not None


def test_a_node_without_an_index_starts_a_vault_anew() -> None:
    tested = reading()
    tested.accept(page(5, last=False), NARROW, sent_height=9, height=10)
    unindexed = Limits(indexation=False)
    assert tested.next_page(unindexed).after is None
    whole = tested.accept(page(5, 6, last=True), unindexed, sent_height=10, height=10)
    assert whole is not None
    assert [balance.amount for balance in whole] == [5, 6]
