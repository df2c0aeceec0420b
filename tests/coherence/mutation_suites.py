"""Which tests know which file: a mutant is shown to these alone, the quick ones first."""

from __future__ import annotations

from dataclasses import dataclass

_QUICK = (
    "not memory and not twin and not before_ours and not thousand and not full and not [two"
    " and not [lease and not without_redis and not drawn and not hung"
)


@dataclass(frozen=True)
class Suite:
    """Tests, and which of them are chosen (pytest's `-k`)."""

    tests: tuple[str, ...]
    chosen: str = _QUICK


_DROP_IN = (
    "tests/integration/test_cache_drop_in.py",
    "tests/integration/test_cache_bako_writes.py",
    "tests/integration/test_cache_bookkeeping.py",
    "tests/integration/test_cache_damaged.py",
)
_STORE = Suite(
    (
        "tests/unit/cache/test_cache_lives.py",
        "tests/unit/cache/test_judging.py",
        "tests/contract/cache",
        "tests/integration/test_cache_reading.py",
        *_DROP_IN,
        "tests/integration/test_cache_changes.py",
        "tests/contract/test_refresh_schedule_contract.py",
        "tests/integration/test_cache_failures.py",
        "tests/integration/test_cache_restarts.py",
        "tests/integration/test_cache_waiters.py",
        "tests/coherence/test_explorer.py",
    )
)
_SCHEDULE = Suite(("tests/contract/test_refresh_schedule_contract.py",))
_HOT = Suite((*_SCHEDULE.tests, "tests/contract/cache", *_DROP_IN))
_COPY = Suite(
    (
        "tests/unit/cache/test_copies.py",
        "tests/integration/test_cache_local_copy.py",
        "tests/coherence/test_copied.py",
    )
)
_FOLLOWER = Suite(("tests/integration/test_follow_cursor.py", "tests/integration/follower"))
_OWN = {
    "copies": _COPY,
    "local_copy": _COPY,
    "tracking_connection": _COPY,
    "waiting": Suite(
        (
            "tests/contract/cache",
            "tests/integration/test_cache_restarts.py",
            "tests/integration/test_cache_waiters.py",
        ),
        "redis and wait or waiter or who_waits or subscription or test_every_end",
    ),
    "claim": _SCHEDULE,
    "settle": _SCHEDULE,
    "mark_read": _HOT,
    "due": _HOT,
    "reschedule": _HOT,
    "hot": _HOT,
    "budget": Suite(("tests/integration/test_provider_budget.py",)),
    "follow_begin": _FOLLOWER,
    "follow_save": _FOLLOWER,
    "forget": _FOLLOWER,
    "warm": Suite(("tests/integration/warm_ups",)),
    "note": Suite(("tests/integration/test_cache_vault_log.py",)),
    "drop_value": Suite(("tests/integration/test_cache_damaged.py",)),
}


def suite_of(name: str) -> Suite:
    """Return the tests that know the file of this name (without its ending)."""
    return _OWN.get(name, _STORE)
