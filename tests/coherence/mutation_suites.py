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


def _script(*contracts: str) -> Suite:
    """Return the tests of a script: those that look at the keys, then these of the contract."""
    return Suite(
        (
            "tests/integration/test_cache_scripts.py",
            *_DROP_IN,
            "tests/integration/test_cache_changes.py",
            *(f"tests/contract/cache/test_{name}.py" for name in contracts),
            "tests/integration/test_cache_waiters.py",
            "tests/integration/test_cache_restarts.py",
        ),
        f"{_QUICK} and not [local and not is_a_miss and not half_open",
    )


_SCHEDULE = Suite(("tests/contract/test_refresh_schedule_contract.py",))
_HOT = Suite(
    (
        "tests/integration/test_cache_scripts.py",
        *_SCHEDULE.tests,
        "tests/contract/cache/test_hot_set.py",
        "tests/integration/test_cache_bookkeeping.py",
        "tests/integration/test_cache_damaged.py",
    ),
    f"{_QUICK} and not is_a_miss and not [local",
)
_COPY = Suite(
    (
        "tests/unit/cache/test_copies.py",
        "tests/unit/cache/test_local_copy.py",
        "tests/unit/cache/test_tracking_connection.py",
        "tests/integration/test_cache_local_copy.py",
        "tests/coherence/test_copied.py",
    )
)
_TWIN = Suite(
    (
        "tests/unit/cache/test_memory_twin.py",
        "tests/contract/cache",
        "tests/contract/test_refresh_schedule_contract.py",
        "tests/contract/cached_provider",
    ),
    "memory",
)
_FOLLOWER = Suite(("tests/integration/test_follow_cursor.py", "tests/integration/follower"))
_OWN = {
    "copies": _COPY,
    "local_copy": _COPY,
    "tracking_connection": _COPY,
    "waiting": Suite(
        ("tests/contract/cache/test_waiting.py", "tests/integration/test_cache_waiters.py"),
        "not memory and not [hash and not [local",
    ),
    "memory": _TWIN,
    "memory_hot": _TWIN,
    "acquire": _script("leases", "publishes", "invalidations"),
    "publish": _script(
        *(
            "publishes",
            "leases",
            "reads",
            "probation",
            "invalidations",
            "hot_set",
            "lives",
            "clears",
        )
    ),
    "invalidate": _script("invalidations", "probation", "publishes", "hot_set", "waiting"),
    "prelude": _script("publishes", "leases", "clears", "hot_set"),
    "require": _script("publishes"),
    "extend": _script("leases"),
    "claim": _SCHEDULE,
    "settle": _SCHEDULE,
    "mark_read": _HOT,
    "due": _HOT,
    "reschedule": _HOT,
    "hot": _HOT,
    "budget": Suite(("tests/integration/test_provider_budget.py",)),
    "follow_begin": _FOLLOWER,
    "follow_save": _FOLLOWER,
    "forget": Suite(("tests/integration/test_cache_damaged.py", *_FOLLOWER.tests)),
    "warm": Suite(("tests/integration/warm_ups",)),
    "note": Suite(("tests/integration/test_cache_vault_log.py",)),
    "drop_value": Suite(("tests/integration/test_cache_damaged.py",)),
}


def suite_of(name: str) -> Suite:
    """Return the tests that know the file of this name (without its ending)."""
    return _OWN.get(name, _STORE)
