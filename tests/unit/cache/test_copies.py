"""What may be taken from a copy, and what must not be kept: rule by rule, without a socket."""

from __future__ import annotations

from collections.abc import Sequence

from cache.codec import encode
from cache.copies import HELD_SECONDS, TRUSTED_SECONDS, Copies, Question, Wanted
from cache.keys import EPOCH, Keys
from cache.known import Memory
from tests.cache_support import ALICE, BOB, MAINNET, TESTNET, ManualClock, address, snapshot

NOW_MS = 1_700_000_000_000
SOFT_MS = 60_000


def value(
    version: int, *, epoch: str = "here", chain_id: int = MAINNET, owner: str = ALICE
) -> bytes:
    parts = encode(snapshot(owner, version, chain_id=chain_id), SOFT_MS)
    between = f"{parts.until_epoch}{epoch}{parts.until_version}"
    return f"{parts.until_timestamp}{NOW_MS}{between}{version}}}".encode()


class Copy:
    """Copies and a clock, driven by hand."""

    def __init__(self, most: int = 10) -> None:
        self.clock = ManualClock()
        self.copies = Copies(most, self.clock)
        self.memory = Memory(Keys())

    def ask(self, who: str = ALICE, *, version: int = 1, chain_id: int = MAINNET) -> Question:
        wanted = Wanted(self.memory.of(chain_id, who), version)
        return self.copies.ask({(chain_id, who): wanted})

    def answer(
        self, question: Question, *texts: bytes | None, epoch: bytes | None = b"here"
    ) -> None:
        self.copies.answer(question, [epoch, *texts])

    def hold(
        self, version: int = 1, who: str = ALICE, *, epoch: str = "here", chain_id: int = MAINNET
    ) -> None:
        raw = value(version, epoch=epoch, chain_id=chain_id, owner=who)
        self.answer(self.ask(who, chain_id=chain_id), raw, None, None)

    def held(self, who: str = ALICE, *, chain_id: int = MAINNET, age_ms: int = 0) -> int | None:
        found = self.copies.take(chain_id, [who], NOW_MS + age_ms).get(who)
        return None if found is None else found.stored.version

    def beat(self, epoch: bytes | None = b"here") -> None:
        self.copies.answer(self.copies.ask({}), [epoch])


def names(*keys: str) -> Sequence[bytes]:
    return [key.encode() for key in keys]


def test_a_fresh_value_is_held_and_its_age_is_told() -> None:
    copy = Copy()
    copy.hold(3)

    found = copy.copies.take(MAINNET, [ALICE, BOB], NOW_MS + 70)

    assert list(found) == [ALICE]
    assert (found[ALICE].stored.version, found[ALICE].age_ms) == (3, 70)


def test_a_change_of_any_key_of_a_predicate_drops_it_on_every_chain() -> None:
    keys = Keys()
    for name in (
        keys.value(ALICE, MAINNET),
        keys.chain_flag(ALICE, MAINNET),
        keys.global_flag(ALICE),
    ):
        copy = Copy()
        copy.hold()
        copy.hold(chain_id=TESTNET)
        copy.hold(who=BOB)

        assert not copy.copies.changed(names(name))

        assert copy.held() is None
        assert copy.held(chain_id=TESTNET) is None
        assert copy.held(BOB) == 1


def test_a_change_while_the_question_is_under_way_spoils_the_answer() -> None:
    copy = Copy()
    question = copy.ask()
    copy.copies.changed(names(Keys().value(ALICE, MAINNET)))

    copy.answer(question, value(1), None, None)

    assert copy.held() is None


def test_what_this_process_changed_while_the_question_is_under_way_is_not_kept() -> None:
    copy = Copy()
    question = copy.ask()
    copy.copies.forget([ALICE])

    copy.answer(question, value(1), None, None)

    assert copy.held() is None


def test_a_flag_or_a_missing_or_foreign_or_damaged_or_huge_value_is_not_held() -> None:
    foreign = b'{"balances":[],"timestamp":%d,"chainId":9889,"networkUrl":"https://node"}' % NOW_MS
    huge = value(1)[:-1] + b"," + b" " * 9_000 + b'"x":1}'
    for texts in (
        (value(1), b"1", None),
        (value(1), None, b"1"),
        (None, None, None),
        (foreign, None, None),
        (b"{", None, None),
        (huge, None, None),
    ):
        copy = Copy()
        copy.answer(copy.ask(), *texts)
        assert len(copy.copies) == 0


def test_an_older_version_than_was_read_in_redis_is_not_kept() -> None:
    copy = Copy()
    question = copy.ask(version=1)
    assert copy.copies.raise_version((MAINNET, ALICE), 2)

    copy.answer(question, value(1), None, None)

    assert copy.held() is None


def test_a_held_version_older_than_was_read_in_redis_is_dropped() -> None:
    copy = Copy()
    copy.hold(1)

    assert copy.copies.raise_version((MAINNET, ALICE), 1)
    assert copy.held() == 1
    assert not copy.copies.raise_version((MAINNET, ALICE), 2)
    assert copy.held() is None


def test_what_is_under_way_and_spoiled_is_asked_for_again() -> None:
    copy = Copy()
    copy.ask()
    copy.copies.forget([ALICE])

    assert not copy.copies.raise_version((MAINNET, ALICE), 1)


def test_nothing_is_taken_longer_than_trusted_after_an_answered_question() -> None:
    copy = Copy()
    copy.hold()

    copy.clock.step(TRUSTED_SECONDS - 0.01)
    assert copy.held() == 1
    copy.clock.step(0.02)
    assert copy.held() is None


def test_trust_counts_from_the_question_not_from_the_answer() -> None:
    copy = Copy()
    question = copy.ask()
    copy.clock.step(TRUSTED_SECONDS)

    copy.answer(question, value(1), None, None)

    assert copy.held() is None


def test_a_heartbeat_renews_trust_but_no_value_is_held_longer_than_its_time() -> None:
    copy = Copy()
    copy.hold()

    copy.clock.step(HELD_SECONDS - 0.1)
    copy.beat()
    assert copy.held() == 1
    copy.clock.step(0.1)
    copy.beat()
    assert copy.held() is None


def test_what_is_due_is_read_in_redis() -> None:
    copy = Copy()
    copy.hold()

    assert copy.held(age_ms=SOFT_MS - 1) == 1
    assert copy.held(age_ms=SOFT_MS) is None


def test_a_value_of_another_history_is_not_fresh() -> None:
    copy = Copy()
    copy.hold(epoch="there")

    assert copy.held() is None


def test_while_the_history_may_have_changed_nothing_is_taken() -> None:
    copy = Copy()
    copy.hold()

    assert copy.copies.changed([EPOCH.encode()])
    assert copy.held() is None
    copy.beat(b"here")
    assert copy.held() == 1
    copy.beat(b"elsewhere")
    assert copy.held() is None
    copy.beat(None)
    assert copy.held() is None


def test_a_history_that_changed_after_the_question_is_asked_again() -> None:
    copy = Copy()
    question = copy.ask()
    copy.copies.changed([EPOCH.encode()])

    copy.answer(question, value(1), None, None)
    assert copy.held() is None

    copy.beat()
    assert copy.held() == 1


def test_a_flush_drops_everything_and_spoils_what_is_under_way() -> None:
    copy = Copy()
    copy.hold()
    question = copy.ask(BOB)

    assert copy.copies.changed(None)
    copy.answer(question, value(1, owner=BOB), None, None)
    copy.beat()

    assert (copy.held(), copy.held(BOB)) == (None, None)


def test_a_lost_connection_drops_everything() -> None:
    copy = Copy()
    copy.hold()
    copy.ask(BOB)

    copy.copies.lost()
    copy.clock.step(3)

    assert (copy.held(), len(copy.copies), copy.copies.silence()) == (None, 0, 0.0)


def test_the_number_of_predicates_is_bounded() -> None:
    copy = Copy(most=2)
    for number in (1, 2, 3):
        copy.hold(who=address(number))

    held = [copy.held(address(number)) for number in (1, 2, 3)]

    assert held == [None, 1, 1]


def test_silence_is_the_age_of_the_oldest_question() -> None:
    copy = Copy()
    assert copy.copies.silence() == 0.0
    first = copy.ask()
    copy.clock.step(1.5)
    second = copy.ask(BOB)

    assert copy.copies.silence() == 1.5
    copy.clock.step(1)
    copy.answer(first, None, None, None)
    assert copy.copies.silence() == 1.0
    copy.answer(second, None, None, None)
    assert copy.copies.silence() == 0.0
