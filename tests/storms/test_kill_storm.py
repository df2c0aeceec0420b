"""A short kill storm on each broker; `make check-kills` runs a long one."""

from __future__ import annotations

import pytest

from tests.storms.kills import run


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
@pytest.mark.timeout(300)
async def test_nothing_that_was_accepted_is_lost_in_a_storm_of_kills(broker: str) -> None:
    outcome = await run(6, 11, broker)

    assert outcome.problems == []
    assert outcome.events.total() == 6
    assert min(outcome.done[what] for what in ("logins", "payments", "reads")) > 0
