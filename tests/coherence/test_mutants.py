"""Each guard of the scripts is needed: without it some order of steps breaks the law."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from supervisor.valkey import EmbeddedServer
from tests.cache_support import MAINNET
from tests.coherence.checking import explore, replay
from tests.coherence.scenarios import OURS_SMALL, SMALL
from tests.coherence.stepping import PlainServer, break_script
from tests.coherence.systems import ours_on_redis

SCENARIOS = {scenario.name: scenario for scenario in (*SMALL, *OURS_SMALL)}

GUARDS = {
    "the minimum height is compared": (
        ("publish", "height < number(lease[6])", "false"),
        "a lagging node",
    ),
    "the minimum height is raised": (
        ("invalidate", "height ~= '' and", "false and"),
        "a lagging node",
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
}


@pytest.fixture
def server(cache_server: EmbeddedServer) -> Iterator[PlainServer]:
    server = PlainServer(cache_server.port)
    yield server
    server.close()


@pytest.mark.parametrize("guard", GUARDS)
def test_without_its_guard_the_law_is_broken(
    guard: str, server: PlainServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (name, old, new), scenario = GUARDS[guard]
    break_script(server, monkeypatch, name, old, new)

    findings = explore(SCENARIOS[scenario], ours_on_redis, server)

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
