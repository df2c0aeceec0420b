"""Each guard of the scripts is needed: without it some order of steps breaks the law."""

from __future__ import annotations

import pytest

from tests.cache_support import MAINNET
from tests.coherence.checking import explore, replay
from tests.coherence.scenarios import ON_REDIS, PROLONGED
from tests.coherence.stepping import PlainServer, break_script
from tests.coherence.systems import ours_on_redis

SCENARIOS = {scenario.name: scenario for scenario in (*ON_REDIS, *PROLONGED)}

GUARDS = {
    "the minimum height is compared": (
        ("publish", "math.max(number(lease[6]), ", "math.max(0, "),
        "a lagging node",
    ),
    "the minimum height is raised": (
        ("invalidate", "height ~= '' and", "false and"),
        "a lagging node",
    ),
    "what a walk requires is compared": (("publish", "floor_of(floor)", "0"), "a walk"),
    "a walk requires its height": (
        ("require", "tonumber(ARGV[1]) > floor", "false"),
        "a walk",
    ),
    "the stored height is compared": (
        ("publish", "height < stored_upper", "false"),
        "a node falls back",
    ),
    "the flag is compared": (
        ("publish", "unchanged(chain_flag, lease[3], now)", "true"),
        "bako invalidates",
    ),
    "the value is deleted and flagged": (
        (
            "invalidate",
            "redis.call('DEL', value)\n  redis.call('SET', chain_flag, now, 'PX', flag_ms)",
            "",
        ),
        "one fetch",
    ),
    "the lease is dropped": (("invalidate", "drop_lease(state) > 0", "false"), "flags end"),
    "a held lease is not given away": (
        ("acquire", "number(deadline) > now", "false"),
        "a lost lease is prolonged",
    ),
    "a lease is prolonged": (
        ("extend", "digits(now_ms() + tonumber(ARGV[2]))", "'1'"),
        "a lease is prolonged",
    ),
    "only its holder prolongs a lease": (
        ("extend", "token ~= ARGV[1]", "not token"),
        "a lease is prolonged",
    ),
    "a lease that was dropped is not prolonged": (
        ("extend", "token ~= ARGV[1]", "false"),
        "a lost lease is prolonged",
    ),
    "the history is compared when a lease is prolonged": (
        ("extend", "lease_epoch ~= history(KEYS[2])", "false"),
        "a lease of another history is prolonged",
    ),
    "a clear takes the value": (
        ("clear", "redis.call('DEL', KEYS[2], KEYS[3])", "redis.call('DEL', KEYS[3])"),
        "a clear beside a fetch",
    ),
    "a clear keeps the minimum height": (("clear", "'upper'", "'upper', 'minimum'"), "a clear"),
    "with its flag a value goes": (
        ("clear_flags", "redis.call('DEL', value)", ""),
        "flags are cleared",
    ),
    "with its flag a lease goes": (
        ("clear_flags", "drop_lease(state) > 0", "false"),
        "flags are cleared",
    ),
    "the flag of all chains is taken apart": (
        ("clear_flags", "for i = 2 + 3 * chains, #KEYS do", "for i = 1, 0 do"),
        "the flag of all chains is cleared for one",
    ),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_without_its_guard_the_law_is_broken(
    guard: str, server: PlainServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (name, old, new), scenario = GUARDS[guard]
    break_script(server, monkeypatch, name, old, new)

    findings = explore(SCENARIOS[scenario], ours_on_redis, server, enough=1)

    assert findings.violating > 0


def test_without_the_name_of_its_history_an_old_lease_publishes_after_a_failover(
    server: PlainServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch, invalidate = f"fetch {MAINNET}", f"invalidate {MAINNET}"
    order = [fetch, "failover", fetch, invalidate, "failover", fetch]
    right = replay(SCENARIOS["failover"], ours_on_redis, server, order)
    break_script(server, monkeypatch, "publish", "lease[2] ~= epoch", "false")

    wrong = replay(SCENARIOS["failover"], ours_on_redis, server, order)

    assert right.violating == 0
    assert wrong.violating == 1
