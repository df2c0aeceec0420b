"""What waits for a reader: the newest state of each vault, however slow he is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from api.pricing import Pricing
from api.sessions import Caller
from api.streams.events import EventId
from api.streams.feed import End, Feed
from api.streams.journal import Journal
from api.streams.states import VaultState
from cache.warm_ups import WarmUpProgress
from domain.ports import Served, Source
from domain.values import Balance, Fresh, Snapshot, StoredSnapshot
from registry.records import PredicateRecord

CHAIN = 0
CALLER = Caller("u", "0xabc", CHAIN, "")
EVENT_ID = EventId((7, 1), "0" * 12)
ASSET = "0x" + "11" * 32


def address(number: int) -> str:
    return f"0x{number:064x}"


def record(number: int, workspace: str | None = None) -> PredicateRecord:
    return PredicateRecord(
        predicate_id=f"id-{number}",
        name="v",
        stored_address=address(number),
        address=address(number),
        members=1,
        minimum_signers=1,
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
        workspace_id=workspace,
    )


def feed_of(count: int) -> Feed:
    return Feed(CALLER, "u", "token", [record(number) for number in range(count)])


def state(number: int, version: int, assets: int = 1) -> VaultState:
    balances = tuple(Balance(f"0x{n + 1:064x}", version) for n in range(assets))
    stored = StoredSnapshot(Snapshot(address(number), CHAIN, balances, 1), version, version)
    return VaultState(address(number), CHAIN, Served(Fresh(stored, 0), Source.CACHE), Pricing())


def events(words: bytes) -> list[tuple[str, object]]:
    told = []
    for block in words.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "event" in fields:
            told.append((fields["event"], json.loads(fields["data"])))
    return told


def amounts(words: bytes) -> list[int]:
    told = (data for name, data in events(words) if name == "balances")
    return [int(data["totalBalance"][0]["amount"], 16) for data in told]  # type: ignore[index]


def test_news_of_one_vault_replace_each_other_while_nobody_reads() -> None:
    feed = feed_of(2)
    for version in range(1, 1_000):
        feed.put(version, state(0, version))
    feed.put(1_000, state(1, 5))

    assert amounts(feed.take(EVENT_ID)) == [999, 5]


def test_much_is_told_in_portions_and_the_id_comes_with_the_last() -> None:
    feed = feed_of(20)
    for number in range(20):
        feed.put(1, state(number, 1, assets=100))

    portions: list[bytes] = []
    while b"id: " not in (portions := [*portions, feed.take(EVENT_ID)])[-1]:
        assert len(portions) < 100

    assert len(portions) > 1
    assert max(len(portion) for portion in portions) < 100_000
    assert sum(len(amounts(portion)) for portion in portions) == 20
    assert portions[-1].count(b"id: ") == 1
    assert b"id: 7-1.000000000000\nevent: balances" in portions[-1]


def test_an_older_read_is_no_news() -> None:
    feed = feed_of(1)
    feed.put(2, state(0, 8))
    feed.put(1, state(0, 7))

    assert amounts(feed.take(EVENT_ID)) == [8]


def test_the_same_state_is_told_once() -> None:
    feed = feed_of(1)
    feed.put(1, state(0, 8))
    feed.take(EVENT_ID)
    feed.put(2, state(0, 8))

    assert feed.take(EVENT_ID).startswith(b"id: 7-1.000000000000\n: heartbeat")


def test_no_id_is_given_while_vaults_are_read_for_the_first_time() -> None:
    feed = feed_of(1)
    with feed.reading():
        assert b"id: " not in feed.take(EVENT_ID)
        feed.put(1, state(0, 1))
        assert b"id: " not in feed.take(EVENT_ID)
    feed.say_after("snapshot", {})

    assert b"id: " in feed.take(EVENT_ID)


def test_nothing_is_told_after_the_end() -> None:
    feed = feed_of(1)
    feed.put(1, state(0, 1))
    feed.end(End.SESSION)
    feed.end(End.LIFE)

    assert events(feed.take(EVENT_ID)) == [("end", {"reason": "session"})]


def test_a_vault_that_is_taken_away_is_told_no_more_though_news_of_it_wait() -> None:
    feed = feed_of(2)
    feed.put(1, state(0, 1))
    feed.outdate(address(0))
    feed.set_records([record(1)])
    feed.put(2, state(0, 2))
    feed.put(2, state(1, 3))

    told = events(feed.take(EVENT_ID))
    assert [name for name, _ in told] == ["vaults", "balances"]


def test_outdated_vaults_are_told_together_and_by_workspace() -> None:
    records = [record(0, "w1"), record(1, "w2"), record(2, "w1")]
    feed = Feed(CALLER, "u", "token", records)
    feed.take(EVENT_ID)
    for number in (0, 1, 2, 0):
        feed.outdate(address(number))

    told = events(feed.take(EVENT_ID))
    by_user = [data for name, data in told if name == "[BALANCE_OUTDATED_USER]"]
    assert [(d["workspaceId"], d["outdatedPredicateIds"]) for d in by_user] == [  # type: ignore[index]
        ("w1", ["id-0", "id-2"]),
        ("w2", ["id-1"]),
    ]
    assert sum(name == "[BALANCE_OUTDATED_PREDICATE]" for name, _ in told) == 3


def test_a_warm_up_is_told_when_it_moves() -> None:
    feed = feed_of(0)
    feed.take(EVENT_ID)
    feed.progress(WarmUpProgress(2, 0, 0))
    feed.progress(WarmUpProgress(2, 1, 0))
    first = events(feed.take(EVENT_ID))
    feed.progress(WarmUpProgress(2, 1, 0))

    assert [(name, data["done"]) for name, data in first] == [("warm-up", 1)]  # type: ignore[index]
    assert events(feed.take(EVENT_ID)) == []
    assert feed.is_warming


def test_two_vaults_with_one_address_are_both_told() -> None:
    twin = replace(record(0), predicate_id="twin")
    feed = Feed(CALLER, "u", "token", [record(0), twin])
    feed.put(1, state(0, 4))

    told = [data for name, data in events(feed.take(EVENT_ID)) if name == "balances"]
    assert [data["predicateId"] for data in told] == ["id-0", "twin"]  # type: ignore[index]


def _noted(journal: Journal, changes: Sequence[tuple[int, int]]) -> None:
    for number, at in changes:
        journal.note((CHAIN, address(number)), (at, 0))


def test_the_journal_tells_what_changed_after_a_position_as_far_back_as_it_knows() -> None:
    journal = Journal(2)
    places = [(CHAIN, address(number)) for number in (1, 2, 3)]
    assert journal.changed_since((5, 0), places) is None

    journal.begin((1, 0))
    _noted(journal, [(1, 2), (2, 3), (1, 4)])
    assert journal.changed_since((3, 0), places) == {places[0]}
    assert journal.changed_since((1, 0), places) == {places[0], places[1]}
    assert journal.changed_since((0, 9), places) is None

    _noted(journal, [(3, 5)])  # the change of 2 at position 3 is forgotten
    assert journal.changed_since((2, 0), places) is None
    assert journal.changed_since((3, 0), places) == {places[0], places[2]}
