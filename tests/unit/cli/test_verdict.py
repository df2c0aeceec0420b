"""`why`: from what is known of a vault to a sentence and what to do."""

from __future__ import annotations

from dataclasses import replace

from cache.inspection import Heat, Inside, Mark
from cache.vault_log import VaultEvent
from cli.operate.inspecting import VaultView
from cli.operate.verdict import Verdict, judge
from domain.events import VaultEventKind
from domain.values import Fresh, Missing, ReadAnswer, Stale, StaleReason, StoredSnapshot
from tests.cache_support import MAINNET, address, snapshot

NOW = 1_795_823_534_738
VAULT = address(1)
STORED = StoredSnapshot(snapshot(VAULT, height=100), NOW - 60_000, version=3)
INSIDE = Inside(
    now_ms=NOW,
    value_left_ms=None,
    last_known_left_ms=80_000_000,
    chain_flag=None,
    global_flag=None,
    generation=0,
    published_generation=0,
    minimum=0,
    upper=100,
    version=3,
    invalidated_at_ms=None,
    lease_left_ms=None,
    heat=None,
)
INVALIDATED = replace(INSIDE, generation=2, published_generation=1, invalidated_at_ms=NOW - 30_000)


def event(kind: VaultEventKind, ago_ms: int, detail: str = "", times: int = 1) -> VaultEvent:
    return VaultEvent(NOW - ago_ms, NOW - ago_ms, kind, detail, None, times)


def stale(reason: StaleReason) -> Stale:
    return Stale(STORED, 60_000, reason)


def verdict(
    answer: ReadAnswer, inside: Inside, *events: VaultEvent, beat_is_silent: bool = False
) -> Verdict:
    view = VaultView(MAINNET, "mainnet", answer, inside)
    return judge(view, events, beat_is_silent=beat_is_silent)


def test_a_fresh_vault_needs_nothing() -> None:
    found = verdict(Fresh(STORED, 60_000), replace(INSIDE, value_left_ms=540_000))

    assert found.why.startswith("It is fresh")
    assert found.advice == ()


def test_an_invalidation_is_told_with_its_author_and_the_height_that_it_demands() -> None:
    by = event(VaultEventKind.INVALIDATED, 30_000, "transaction 0xfeed")
    inside = replace(INVALIDATED, minimum=105)
    found = verdict(stale(StaleReason.INVALIDATED), inside, by)

    assert "by transaction 0xfeed" in found.why
    assert "105 is demanded" in found.why
    assert "are of 100" in found.why
    assert any("queues" in line for line in found.advice)
    assert any(f"warm {VAULT}" in line for line in found.advice)


def test_a_fetch_that_failed_since_is_the_reason_and_an_older_one_is_not() -> None:
    by = event(VaultEventKind.INVALIDATED, 30_000, "transaction 0xfeed")
    before = event(VaultEventKind.FETCH_FAILED, 50_000, "NodeUnreachableError: gone")
    after = event(VaultEventKind.FETCH_FAILED, 10_000, "NodeBehindError: behind", times=4)
    inside = INVALIDATED

    unfailed = verdict(stale(StaleReason.INVALIDATED), inside, before, by)
    failed = verdict(stale(StaleReason.INVALIDATED), inside, before, by, after)

    assert "no fetch has failed" in unfailed.why
    assert "4 times" in failed.why
    assert "NodeBehindError" in failed.why
    assert any("lag" in line for line in failed.advice)


def test_who_is_fetching_it_already_is_said() -> None:
    inside = replace(INVALIDATED, lease_left_ms=4_000)

    assert "fetching it at this moment" in verdict(stale(StaleReason.INVALIDATED), inside).why


def test_a_flag_of_another_program_is_told_apart() -> None:
    inside = replace(INSIDE, chain_flag=Mark(NOW - 5_000, 3_595_000))

    assert "another program" in verdict(stale(StaleReason.INVALIDATED), inside).why


def test_an_expired_vault_that_nobody_reads_is_no_fault() -> None:
    found = verdict(stale(StaleReason.EXPIRED), INSIDE)

    assert "nobody looks at it" in found.why
    assert found.advice == ()


def test_an_expired_vault_that_is_read_blames_beat_the_round_or_the_budget() -> None:
    hot = replace(INSIDE, heat=Heat(NOW - 1_000, 12.0, NOW - 90_000))
    soon = replace(INSIDE, heat=Heat(NOW - 1_000, 12.0, NOW - 2_000))
    expired = stale(StaleReason.EXPIRED)

    assert "beat is silent" in verdict(expired, hot, beat_is_silent=True).why
    assert "budget" in verdict(expired, hot).why
    assert "due since 2.0 s" in verdict(expired, soon).why


def test_a_missing_vault_was_cleared_or_lost_or_never_there() -> None:
    cleared = event(VaultEventKind.CLEARED, 5_000, "an operator")
    published = event(VaultEventKind.PUBLISHED, 9_000)
    failed = event(VaultEventKind.FETCH_FAILED, 1_000, "NodeUnreachableError: gone")
    unknown = replace(INSIDE, version=0)

    assert "cleared" in verdict(Missing(), INSIDE, published, cleared).why
    assert "keep life" in verdict(Missing(), INSIDE).why
    assert "Nobody has read" in verdict(Missing(), unknown).why
    assert "NodeUnreachableError" in verdict(Missing(), INSIDE, cleared, failed).why
