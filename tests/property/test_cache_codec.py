"""What is written is read back; what anybody else may have written is read or refused, no more."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cache.codec import PoisonedValueError, decode, encode
from cache.keys import Keys, chain_of_value
from domain.values import MAX_AMOUNT, MAX_BLOCK_HEIGHT, Balance, Snapshot
from tests.cache_support import address

ADDRESSES = st.integers(0, 2**256 - 1).map(address)
CHAINS = st.integers(0, 2**64 - 1)
HEIGHTS = st.integers(0, MAX_BLOCK_HEIGHT)
BALANCES = st.builds(Balance, ADDRESSES, st.integers(1, MAX_AMOUNT))
SNAPSHOTS = st.builds(
    Snapshot,
    ADDRESSES,
    CHAINS,
    st.lists(BALANCES, max_size=5).map(tuple),
    HEIGHTS,
    st.none() | HEIGHTS,
    st.none() | st.just("https://node/v1/graphql"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def joined(snapshot: Snapshot, timestamp: int, version: int, epoch: str) -> str:
    parts = encode(snapshot, 1_000)
    middle = f"{parts.until_timestamp}{timestamp}{parts.until_epoch}{epoch}"
    return f"{middle}{parts.until_version}{version}}}"


@given(SNAPSHOTS, st.integers(0, 2**52), st.integers(1, 2**52))
def test_a_snapshot_survives_the_journey(told: Snapshot, timestamp: int, version: int) -> None:
    raw = joined(told, timestamp, version, "an-epoch")

    found = decode(raw.encode(), told.address, told.chain_id)

    assert found.stored.snapshot == told
    assert (found.stored.timestamp_ms, found.stored.version) == (timestamp, version)
    assert (found.soft_life_ms, found.epoch, found.stored.foreign) == (1_000, "an-epoch", False)
    assert json.dumps(json.loads(raw), separators=(",", ":")) == raw, "compact, as Bako writes"


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_nothing_that_is_stored_makes_reading_fail_in_another_way(raw: bytes) -> None:
    try:
        decode(raw, address(1), 0)
    except PoisonedValueError:
        return


@given(
    st.fixed_dictionaries(
        {"balances": st.lists(JSON) | JSON, "timestamp": JSON, "chainId": st.just(0) | JSON},
        optional={"networkUrl": JSON, "version": JSON, "epoch": JSON, "height": JSON},
    )
)
def test_nearly_right_values_are_read_or_refused(value: dict[str, Any]) -> None:
    try:
        found = decode(json.dumps(value).encode(), address(1), 0)
    except PoisonedValueError:
        return
    assert found.stored.snapshot.chain_id == 0
    assert found.stored.timestamp_ms == value["timestamp"]


@given(st.tuples(ADDRESSES, CHAINS), st.tuples(ADDRESSES, CHAINS), st.booleans())
def test_no_two_predicates_share_a_key(
    one: tuple[str, int], other: tuple[str, int], hash_tags: bool
) -> None:
    keys = Keys(hash_tags)

    def all_of(who: str, chain_id: int) -> set[str]:
        builders = (
            keys.value,
            keys.chain_flag,
            keys.transaction_refresh,
            keys.last_known,
            keys.state,
        )
        return {build(who, chain_id) for build in builders} | {keys.global_flag(who) + "|global"}

    assert len(all_of(*one)) == 6
    if one != other:
        shared = {key for key in all_of(*one) & all_of(*other) if not key.endswith("|global")}
        assert not shared
    assert chain_of_value(keys.value(*one)) == str(one[1])
    assert chain_of_value(keys.chain_flag(*one)) is None
    assert chain_of_value(keys.global_flag(one[0])) is None
