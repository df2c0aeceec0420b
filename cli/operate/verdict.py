"""Why a vault is as it is, and what to do about it: from facts to sentences. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cache.vault_log import VaultEvent
from cli.operate.inspecting import VaultView
from cli.output import clock_time, span
from domain.events import VaultEventKind
from domain.values import Fresh, Missing, Stale, StaleReason

_PATIENCE_SECONDS = 30.0
"""A refresh that is due for so long should have come: three rounds of beat by default."""

_FAILURES = (VaultEventKind.FETCH_FAILED, VaultEventKind.PUBLISH_REFUSED)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an operator wants to know first.

    Attributes:
        why: one sentence or two.
        advice: what to do; empty: nothing.
    """

    why: str
    advice: Sequence[str] = ()


def judge(view: VaultView, events: Sequence[VaultEvent], *, beat_is_silent: bool) -> Verdict:
    """Say why a vault is fresh, stale or missing.

    Args:
        view: how it is now.
        events: what happened to it, in order.
        beat_is_silent: nobody enqueues refreshes at the moment.
    """
    match view.answer:
        case Fresh(stored, age_ms):
            since = clock_time(stored.timestamp_ms)
            left = span((view.inside.value_left_ms or 0) / 1000)
            why = f"It is fresh: published at {since} UTC, {span(age_ms / 1000)} ago; {left} more."
            return Verdict(why)
        case Stale(reason=StaleReason.INVALIDATED):
            return _invalidated(view, events)
        case Stale():
            return _expired(view, events, beat_is_silent=beat_is_silent)
        case _:
            return _missing(view, events)


def _invalidated(view: VaultView, events: Sequence[VaultEvent]) -> Verdict:
    inside, address = view.inside, _address(view)
    last = _last(events, VaultEventKind.INVALIDATED)
    at_ms = inside.invalidated_at_ms or _flagged_at(view)
    why = f"It was invalidated{_when(at_ms)}{_by(last, view)}{_demanding(view)}"
    failure = _failure_since(events, at_ms)
    if inside.lease_left_ms is not None:
        return Verdict(f"{why}. Somebody is fetching it at this moment.", ["Look again."])
    if failure is not None:
        return Verdict(f"{why}. Since then: {_told(failure)}.", _mend(failure))
    advice = [
        "balance-cache queues   (its refill waits in the invalidation lane, or no worker takes it)",
        "balance-cache dead-letters list",
        f"balance-cache warm {address} --chain {view.chain_id}   (fetches it at once)",
    ]
    return Verdict(f"{why}. Nothing has been published since, and no fetch has failed.", advice)


def _expired(view: VaultView, events: Sequence[VaultEvent], *, beat_is_silent: bool) -> Verdict:
    why = "Its fresh life is over and nobody has refreshed it"
    failure = _failure_since(events, _published_at(view))
    if failure is not None:
        return Verdict(f"{why}: {_told(failure)}.", _mend(failure))
    if view.inside.heat is None:
        return Verdict(f"{why}: nobody looks at it. The next reader has it fetched.")
    if beat_is_silent:
        advice = ["balance-cache doctor", "start beat: celery -A tasks beat"]
        return Verdict(f"{why}, although it is read: beat is silent.", advice)
    overdue = _overdue_seconds(view)
    if overdue < _PATIENCE_SECONDS:
        why += f" yet: its refresh is due since {span(overdue)}"
        return Verdict(f"{why}.", ["Look again: refreshes come every REFRESH_INTERVAL_SECONDS."])
    advice = [
        "balance-cache queues   (does a worker take from the refresh lane?)",
        "raise REFRESH_CALLS_PER_MINUTE if more is read than refreshes may fetch",
    ]
    return Verdict(
        f"{why}, although it is read: the budget of refreshes does not reach it.", advice
    )


def _overdue_seconds(view: VaultView) -> float:
    heat = view.inside.heat
    if heat is None or heat.due_ms is None:
        return float("inf")
    return max(0, view.inside.now_ms - heat.due_ms) / 1000


def _missing(view: VaultView, events: Sequence[VaultEvent]) -> Verdict:
    cleared = _last(events, VaultEventKind.CLEARED)
    published = _last(events, VaultEventKind.PUBLISHED)
    failure = _failure_since(events, max((e.at_ms for e in (cleared, published) if e), default=0))
    if failure is not None:
        return Verdict(f"Nothing is known of it: {_told(failure)}.", _mend(failure))
    if cleared is not None and (published is None or published.at_ms < cleared.at_ms):
        why = f"It was cleared at {clock_time(cleared.at_ms)} UTC ({cleared.detail})."
        return Verdict(f"{why} The next reader has it fetched.")
    if view.inside.version:
        why = "It was published once and its keep life is over, or Redis was full and gave it up"
        return Verdict(f"{why}.", ["balance-cache doctor   (evicted keys, memory)"])
    why = "Nobody has read or warmed it yet, or Redis has lost it; the next reader has it fetched"
    return Verdict(f"{why}.")


def _mend(failure: VaultEvent) -> list[str]:
    if failure.detail.startswith("NodeBehindError") or failure.detail == "below_minimum":
        return [
            "balance-cache doctor   (how far the nodes lag)",
            "wait: the refill is tried again until a node has reached that height",
            "a height that no block has yet: the caller told a wrong one; wait for the chain",
        ]
    if failure.kind is VaultEventKind.FETCH_FAILED:
        return [
            "balance-cache doctor   (does a node answer?)",
            "readers get the last known balances, marked, until one does; nothing else is needed",
        ]
    return ["Look again: it was fetched while it changed, and is fetched again."]


def _told(event: VaultEvent) -> str:
    what = {
        VaultEventKind.FETCH_FAILED: "a fetch failed",
        VaultEventKind.PUBLISH_REFUSED: "what a node told was refused",
    }[event.kind]
    times = f" {event.times} times, the last" if event.times > 1 else ""
    return f"{what}{times} at {clock_time(event.at_ms)} UTC ({event.detail})"


def _when(at_ms: int | None) -> str:
    return "" if at_ms is None else f" at {clock_time(at_ms)} UTC"


def _by(last: VaultEvent | None, view: VaultView) -> str:
    if last is not None and last.detail:
        return f" by {last.detail}"
    if not view.inside.generation > view.inside.published_generation:
        return " by a flag that another program (Bako's API) has set"
    return ""


def _demanding(view: VaultView) -> str:
    minimum, stored = view.inside.minimum, view.answer
    if isinstance(stored, Missing) or minimum <= stored.stored.snapshot.height:
        return ""
    return (
        f"; block height {minimum} is demanded, the last known balances are of "
        f"{stored.stored.snapshot.height}"
    )


def _flagged_at(view: VaultView) -> int | None:
    flags = (view.inside.chain_flag, view.inside.global_flag)
    return max((flag.at_ms for flag in flags if flag and flag.at_ms), default=None)


def _published_at(view: VaultView) -> int | None:
    return None if isinstance(view.answer, Missing) else view.answer.stored.timestamp_ms


def _last(events: Sequence[VaultEvent], kind: VaultEventKind) -> VaultEvent | None:
    return next((event for event in reversed(events) if event.kind is kind), None)


def _failure_since(events: Sequence[VaultEvent], at_ms: int | None) -> VaultEvent | None:
    """Return the last failure after a moment, unless a publish came after it."""
    for event in reversed(events):
        if event.kind is VaultEventKind.PUBLISHED or (at_ms is not None and event.at_ms < at_ms):
            return None
        if event.kind in _FAILURES:
            return event
    return None


def _address(view: VaultView) -> str:
    return "ADDRESS" if isinstance(view.answer, Missing) else view.answer.stored.snapshot.address
