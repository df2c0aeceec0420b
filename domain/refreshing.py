"""When a refresh is worth a place in a node request. Pure.

What a refresh is worth is counted in *lost reads*: reads that are answered with balances that have
changed meanwhile, or that have to wait because nothing fresh is there. Reads come at `reads` per
second and changes that nobody announces at `changes` per second, both as Poisson processes, so that
a copy of age ``t`` is right with probability ``exp(-changes * t)``.

A refresh at age ``t`` is worth ``reads / changes * (1 - (1 + x) * exp(-x))``, ``x = changes * t``.
Refreshing each predicate when this reaches one common price loses the fewest reads for the number
of refreshes that is made (Azar et al., "Tractable near-optimal policies for crawling", PNAS 2018).
The price is what keeps the number within the budget; docs/refresh.md derives both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from domain.values import Address, Snapshot, StoredSnapshot

LEAST_PRICE = 1e-4
"""The price while the budget is not used up: a place that saves less is not taken. So low that
whoever is hot is kept fresh if there is room, also with a short fresh life."""

_LEAST_FOR_CHANGE = 0.01
"""Before its fresh life ends nobody is refreshed for less, however much room there is: a refresh
that finds a change in time for one read of a hundred is a load to the node and little else."""

HIGHEST_PRICE = 1_000.0
"""Beyond this nothing is refreshed; a bound, so that the price always finds its way back."""

_LEAST_DELAY_SECONDS = 5.0
_RISE = 0.25
_FALL = 0.1

_PRIOR_CHANGES = 0.25
_PRIOR_SECONDS = 6 * 3600.0
"""What is believed of a predicate before it was watched: about one change a day."""

_CHANGE_MEMORY_SECONDS = 2 * 86_400.0
_ROOT_STEPS = 6
_SURELY_CHANGED = 50.0


def faded(count: float, seconds: float, memory_seconds: float) -> float:
    """Return what is left of a count after a time; it fades to 1/e within the memory."""
    return count * math.exp(-max(0.0, seconds) / memory_seconds)


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """What refreshes have seen of one predicate.

    Attributes:
        changes: how often the balances were others than before; old changes fade.
        watched_seconds: how long it was watched for that; fades alike.
    """

    changes: float = 0.0
    watched_seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """The estimated rate of changes, never zero."""
        return (self.changes + _PRIOR_CHANGES) / (self.watched_seconds + _PRIOR_SECONDS)

    def after(self, seconds: float, *, changed: bool) -> ChangeRecord:
        """Return the record with one more look, `seconds` after the one before.

        A look that finds a change tells that there was at least one: the time that counts is that
        until the first, which is estimated from the rate known so far (one step of
        expectation-maximisation). Otherwise busy predicates would look slower than they are.
        """
        kept = math.exp(-seconds / _CHANGE_MEMORY_SECONDS)
        watched = _until_first_change(self.per_second, seconds) if changed else seconds
        return ChangeRecord(self.changes * kept + changed, self.watched_seconds * kept + watched)


def _until_first_change(rate: float, seconds: float) -> float:
    """Return the expected time of the first change, given that one came within `seconds`."""
    x = rate * seconds
    if x < 1e-3:  # noqa: PLR2004 - below, the difference of two large numbers is noise
        return seconds / 2
    return seconds / x - seconds / math.expm1(min(x, _SURELY_CHANGED))


@dataclass(frozen=True, slots=True)
class Habits:
    """How often a predicate is read and changes, per second."""

    reads: float
    changes: float

    def worth_of_change(self, age_seconds: float) -> float:
        """Return what a refresh at this age saves, in reads of balances that have changed."""
        x = min(self.changes * age_seconds, _SURELY_CHANGED)
        if x < 1e-4:  # noqa: PLR2004 - the series: the closed form is noise there
            return self.reads * self.changes * age_seconds**2 / 2
        return self.reads / self.changes * (1 - (1 + x) * math.exp(-x))

    def worth_of_life(self, fresh_seconds: float) -> float:
        """Return what a refresh at the end of fresh life saves: the read that would wait.

        Without it the predicate lapses until the next read, which waits: one lost read for each
        life and the time until that read.
        """
        expected = self.reads * fresh_seconds
        return expected / (1 + expected)

    def age_worth(self, price: float) -> float:
        """Return the age in seconds at which a refresh is worth the price; infinite if never."""
        y = price * self.changes / self.reads if self.reads > 0 else 1.0
        return _root(y) / self.changes if y < 1 else math.inf


def _root(y: float) -> float:
    """Solve ``1 - (1 + x) * exp(-x) = y`` for x >= 0, by Newton's method on its logarithm.

    ``log(1 + x) - x`` is concave and falls, so that the steps converge from every start.
    """
    if y <= 0:
        return 0.0
    near = math.sqrt(2 * y)
    if near < 1e-4:  # noqa: PLR2004 - exact to four digits, and the logarithm is noise there
        return near
    x, wanted = near + near * near / 3, math.log1p(-y)
    for _ in range(_ROOT_STEPS):
        x += (math.log1p(x) - x - wanted) * (1 + x) / x
    return x


@dataclass(frozen=True, slots=True)
class RefreshRules:
    """What the operator decided.

    Attributes:
        fresh_seconds: the fresh life.
        soft_seconds: the age at which a refresh is due at the latest, if it is made at all.
        batch_size: predicates in one node request.
        calls_per_minute: node requests that refreshes may make.
        interval_seconds: how often beat comes round.
        ahead_seconds: how far from being due others may be who fill up a request.
    """

    fresh_seconds: float
    soft_seconds: float
    batch_size: int
    calls_per_minute: float
    interval_seconds: float
    ahead_seconds: float

    @property
    def calls_at_once(self) -> float:
        """How many unused calls are saved up: those of two rounds, and at least one."""
        return max(1.0, self.calls_per_minute * 2 * self.interval_seconds / 60)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A hot predicate whose due time has come, or nearly.

    Attributes:
        address: the predicate.
        reads: how often it was read; old reads fade within the memory of reads.
        record: what refreshes have seen of it.
        stored: the last known snapshot, if there is one.
        age_seconds: its age; None: nothing is stored.
        fresh: a reader would be served with it, without waiting.
        announced: it was invalidated since: a change that is found now is no surprise.
        due: its time has come; False: it may fill up a request.
    """

    address: Address
    reads: float
    record: ChangeRecord
    stored: StoredSnapshot | None
    age_seconds: float | None
    fresh: bool
    announced: bool = False
    due: bool = True


@dataclass(frozen=True, slots=True)
class Claim:
    """Predicates that one refresh run alone decides about, for some seconds.

    Attributes:
        candidates: those that are due, the most overdue first, then those that fill up.
        price: what a place in a request costs at present.
        calls: node requests that the run may make.
        left: predicates that are due and were not taken.
        read_memory_seconds: in what time old reads fade.
    """

    candidates: Sequence[Candidate]
    price: float
    calls: int
    left: int
    read_memory_seconds: float


@dataclass(frozen=True, slots=True)
class Appointment:
    """When a predicate is due again.

    Attributes:
        address: the predicate.
        delay_seconds: from now.
        record: what is known of its changes now; None: as before.
    """

    address: Address
    delay_seconds: float
    record: ChangeRecord | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom a run refreshes, and whom it leaves for later."""

    refreshed: Sequence[Candidate]
    later: Sequence[Candidate]
    price: float


def worth(habits: Habits, candidate: Candidate, rules: RefreshRules) -> float:
    """Return what a refresh now is worth, in lost reads."""
    age = _age(candidate, rules)
    if age < rules.soft_seconds:
        return habits.worth_of_change(age)
    return max(habits.worth_of_change(age), habits.worth_of_life(rules.fresh_seconds))


def _age(candidate: Candidate, rules: RefreshRules) -> float:
    """What nobody can be served with is as good as at the end of its fresh life."""
    if candidate.age_seconds is None or not candidate.fresh:
        return rules.fresh_seconds
    return min(candidate.age_seconds, rules.fresh_seconds)


def delay(habits: Habits, age_seconds: float, price: float, rules: RefreshRules) -> float:
    """Return after how many seconds a refresh is worth the price.

    Whoever is never worth it is looked at again after a fresh life: habits and prices change.
    """
    wanted = habits.age_worth(max(price, _LEAST_FOR_CHANGE))
    if wanted > rules.soft_seconds:
        lapses = habits.worth_of_life(rules.fresh_seconds) < price
        wanted = age_seconds + rules.fresh_seconds if lapses else rules.soft_seconds
    return max(wanted - age_seconds, _LEAST_DELAY_SECONDS)


def habits_of(candidate: Candidate, claim: Claim) -> Habits:
    """Return a candidate's estimated rates."""
    return Habits(candidate.reads / claim.read_memory_seconds, candidate.record.per_second)


def choose(claim: Claim, rules: RefreshRules) -> Choice:
    """Take those that are worth most, as many as the calls carry, and find the next price.

    The price says when predicates come due; once they are, calls that are left go to the best of
    them also below it. One request costs the same with one predicate as with a full batch: what
    is due decides how many are made, and whoever is nearly due fills up the last one.
    """
    worths = {one.address: worth(habits_of(one, claim), one, rules) for one in claim.candidates}

    def best(*, due: bool) -> list[Candidate]:
        found = [one for one in claim.candidates if one.due is due]
        return sorted(found, key=lambda one: worths[one.address], reverse=True)

    wanted = [one for one in best(due=True) if worths[one.address] >= LEAST_PRICE]
    places = min(claim.calls, math.ceil(len(wanted) / rules.batch_size)) * rules.batch_size
    chosen = wanted[:places]
    if len(chosen) < places:
        chosen += best(due=False)[: places - len(chosen)]
    taken = {one.address for one in chosen}
    later = [one for one in claim.candidates if one.address not in taken]
    worthy = sum(worths[one.address] >= claim.price for one in wanted) + claim.left
    return Choice(chosen, later, _next_price(claim, worthy / rules.batch_size))


def _next_price(claim: Claim, wanted_calls: float) -> float:
    """Raise the price while more is worth it than the budget carries; else let it fall."""
    price = claim.price
    if claim.calls and wanted_calls > claim.calls:
        price *= math.exp(_RISE * min(1.0, wanted_calls / claim.calls - 1))
    elif claim.calls and math.ceil(wanted_calls) < claim.calls:
        price *= math.exp(-_FALL)
    return min(max(price, LEAST_PRICE), HIGHEST_PRICE)


def appointment(
    candidate: Candidate, claim: Claim, price: float, rules: RefreshRules
) -> Appointment:
    """Put off one that was not refreshed."""
    habits, age = habits_of(candidate, claim), _age(candidate, rules)
    return Appointment(candidate.address, delay(habits, age, price, rules))


def appointment_after(
    candidate: Candidate,
    claim: Claim,
    price: float,
    rules: RefreshRules,
    found: Snapshot,
) -> Appointment:
    """Learn from what a refresh has found, and say when the next one is due.

    What an invalidation has announced is no reason to look more often: it comes by itself.
    """
    record, before = candidate.record, candidate.stored
    if before is not None and candidate.age_seconds is not None and not candidate.announced:
        changed = found.balances != before.snapshot.balances
        record = record.after(candidate.age_seconds, changed=changed)
    habits = Habits(candidate.reads / claim.read_memory_seconds, record.per_second)
    return Appointment(candidate.address, delay(habits, 0.0, price, rules), record)
