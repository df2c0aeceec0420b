"""A day of a wallet's traffic: who looks at which vaults when, and how often each vault changes."""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

DAY = 86_400.0
VAULTS_OF_A_USER = 10
_VIEWS_OF_A_SESSION = 5
_SECONDS_BETWEEN_VIEWS = 60.0
_CHANGES_A_DAY = 1.0
_SPREAD_OF_CHANGES = 1.5


@dataclass(frozen=True, slots=True)
class Traffic:
    """The same for every policy.

    Attributes:
        views: time in seconds and user of each look at a dashboard, in order of time.
        change_rates: changes a second that nobody announces, of each vault.
    """

    views: Sequence[tuple[float, int]]
    change_rates: Sequence[float]


def day_of_traffic(vaults: int, sessions: int, seed: int) -> Traffic:
    """Draw a day: Zipf's law for users, a tide over the day, Poisson everything else.

    A session is five looks at a dashboard of ten vaults on average, a minute apart. The rates of
    changes are log-normal with a median of one a day: most vaults rest, a few are busy.
    """
    chance = random.Random(seed)
    users = vaults // VAULTS_OF_A_USER
    shares = list(itertools.accumulate(1 / rank for rank in range(1, users + 1)))
    views: list[tuple[float, int]] = []
    for _ in range(sessions):
        user = bisect.bisect(shares, chance.random() * shares[-1])
        at = _time_of_day(chance)
        while at < DAY:
            views.append((at, user))
            if chance.random() < 1 / _VIEWS_OF_A_SESSION:
                break
            at += chance.expovariate(1 / _SECONDS_BETWEEN_VIEWS)
    rates = [
        _CHANGES_A_DAY / DAY * math.exp(chance.gauss(0, _SPREAD_OF_CHANGES)) for _ in range(vaults)
    ]
    return Traffic(sorted(views), rates)


def _time_of_day(chance: random.Random) -> float:
    """Draw a moment; at noon there is nearly six times the traffic of midnight."""
    while True:
        at = chance.random() * DAY
        if chance.random() * 1.7 < 1 - 0.7 * math.cos(2 * math.pi * at / DAY):
            return at
