"""One refresh run, as a plain function over collaborators that are passed in. Knows no Celery."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from domain.ports import BalanceReader, Refilled, RefillOutcome, RefreshSchedule
from domain.refreshing import (
    Appointment,
    Choice,
    Claim,
    RefreshRules,
    appointment,
    appointment_after,
    choose,
)
from domain.values import Address, Lane
from tasks.operations import RefillReport, sorted_out

JITTER = 0.1
"""An appointment is brought forward by up to this part: what was fetched together spreads out."""


async def refresh_worthiest(
    schedule: RefreshSchedule,
    reader: BalanceReader,
    rules: RefreshRules,
    chance: random.Random | None = None,
) -> RefillReport:
    """Refresh the predicates that are worth most, within the budget, and say when they are next.

    What fails keeps no appointment: it is due again when the claim ends.

    Raises:
        CacheUnavailableError: nothing is known of the schedule, or of the outcome.
    """
    chain_id = reader.network.chain_id
    claim = await schedule.claim(chain_id, rules)
    if not claim.calls:
        return RefillReport()
    choice = choose(claim, rules)
    chosen = [one.address for one in choice.refreshed]
    outcomes = await reader.refill(chosen, lane=Lane.REFRESH) if chosen else {}
    made = _appointments(claim, choice, outcomes, rules)
    await schedule.settle(
        chain_id,
        _spread(made, chance or random.Random()),  # noqa: S311 - jitter is no secret
        price=choice.price,
        unused_calls=claim.calls - math.ceil(len(chosen) / rules.batch_size),
        rules=rules,
    )
    return sorted_out(outcomes)


def _appointments(
    claim: Claim,
    choice: Choice,
    outcomes: Mapping[Address, RefillOutcome],
    rules: RefreshRules,
) -> list[Appointment]:
    made = [appointment(one, claim, choice.price, rules) for one in choice.later]
    refused = set(sorted_out(outcomes).given_up)
    for one in choice.refreshed:
        outcome = outcomes.get(one.address)
        if isinstance(outcome, Refilled):
            made.append(appointment_after(one, claim, choice.price, rules, outcome.snapshot))
        elif one.address in refused:
            made.append(Appointment(one.address, rules.fresh_seconds))
    return made


def _spread(made: list[Appointment], chance: random.Random) -> list[Appointment]:
    return [
        Appointment(one.address, one.delay_seconds * (1 - JITTER * chance.random()), one.record)
        for one in made
    ]
