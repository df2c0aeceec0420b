"""A short login storm on each broker; `make bench-storm` measures a long one."""

from __future__ import annotations

import pytest

from benchmarks.storm import TRANSACTIONS, measure
from benchmarks.storm_users import population
from tests.broker_support import Server


@pytest.mark.timeout(180)
@pytest.mark.parametrize("one_by_one", [False, True])
async def test_a_storm_of_logins_shares_requests_and_leaves_each_vault_right(
    task_broker: Server, *, one_by_one: bool
) -> None:
    """`measure` refuses a storm after which a vault is cold or wrong."""
    people = population(200, 10, 0.3)

    figures = await measure(people, "prefork", task_broker.url, None, one_by_one=one_by_one)

    assert figures.distinct_vaults == 1600
    assert 8 <= figures.node_requests <= figures.allowed_requests == 12
    assert len(figures.transaction_seconds) == TRANSACTIONS
