"""A follower without a broker: blocks are read all the same, and no refill is forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.values import Stale
from supervisor.valkey import EmbeddedServer
from tasks import refills
from tests.follow_support import Desk, begun, settle, warm_desk
from tests.provider_support import until


@pytest.fixture
async def at(
    tmp_path: Path, module_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    """A desk whose follower stands at the tip, and does not wait for long."""
    monkeypatch.setattr(refills, "AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(refills, "PATIENCE_SECONDS", 0.1)
    async with warm_desk(tmp_path, module_server) as at:
        await begun(at)
        at.refills.clear()
        yield at


async def nothing_is_owed(at: Desk) -> bool:
    return not await at.owed()


async def test_refills_that_the_broker_refused_are_asked_for_when_it_is_back(at: Desk) -> None:
    first, second = at.vaults[:2]
    [follower] = at.followers
    at.broker_is_there = False
    heights = []
    for vault in (first, second):
        heights.append(at.pay(vault))
        await settle(follower)
        assert isinstance(await at.answer(vault), Stale)
    owed = await at.owed()
    assert at.refills == []
    at.broker_is_there = True
    await until(lambda: nothing_is_owed(at))

    assert owed == dict(zip((first, second), heights, strict=True))
    [(asked, height)] = at.refills
    assert (set(asked), height) == ({first, second}, heights[1])


async def test_a_broker_that_hangs_holds_up_no_block(at: Desk) -> None:
    first, second = at.vaults[:2]
    [follower] = at.followers
    at.broker_answers.clear()
    for vault in (first, second):
        at.pay(vault)
        await settle(follower)
        assert isinstance(await at.answer(vault), Stale)
    at.broker_answers.set()
    await until(lambda: nothing_is_owed(at))

    assert [asked for asked, _ in at.refills] == [(first,), (second,)]


async def test_whoever_takes_over_asks_for_what_the_broker_refused(at: Desk) -> None:
    vault = at.vaults[0]
    [follower] = at.followers
    at.broker_is_there = False
    height = at.pay(vault)
    await settle(follower)
    await follower.end()
    at.broker_is_there = True
    await begun(at)

    assert at.refills == [((vault,), height)]
    assert await at.owed() == {}


async def test_the_longest_outage_leaves_no_more_owed_than_may_be(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refills, "MOST_OWED", 2)
    [follower] = at.followers
    at.broker_is_there = False
    for vault in at.vaults[:4]:
        at.pay(vault)
        await settle(follower)

    async def only_the_latest() -> bool:
        return set(await at.owed()) == set(at.vaults[2:4])

    await until(only_the_latest)
    at.broker_is_there = True
    await until(lambda: nothing_is_owed(at))

    assert {vault for asked, _ in at.refills for vault in asked} == set(at.vaults[2:4])
