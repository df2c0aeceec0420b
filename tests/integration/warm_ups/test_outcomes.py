"""What became of each vault: done, tried again after a longer pause, given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cache.warm_ups import MOST_ATTEMPTS, Shelf, UnitState
from domain.values import Address
from tests.provider_support import until
from tests.warm_up_support import Make, addresses


async def test_each_vault_has_its_own_outcome_and_progress_tells(make: Make, shelf: Shelf) -> None:
    warm_ups = make(pause_seconds=30)
    done, refused, again, untouched = addresses(4)
    await warm_ups.note_logins({"ada": [done, refused, again, untouched]}, [shelf.chain_id])
    await warm_ups.offer(shelf, "login", [done, refused, again])
    before = await warm_ups.progress("ada", shelf.chain_id)
    await warm_ups.take(shelf, "part")
    tickets = await warm_ups.settle(shelf, "part", done=[done], given_up=[refused], again=[again])
    after = await warm_ups.progress("ada", shelf.chain_id)

    assert before is not None
    assert (before.total, before.done, before.failed) == (4, 1, 0)
    assert after is not None
    assert (after.total, after.done, after.failed, after.finished) == (4, 2, 1, False)
    assert tickets.count == 1
    assert tickets.delay_seconds == pytest.approx(15, abs=1)
    assert await warm_ups.progress("nobody", shelf.chain_id) is None


async def test_a_vault_that_keeps_failing_is_given_up(make: Make, shelf: Shelf) -> None:
    warm_ups = make(pause_seconds=0.001)
    await warm_ups.note_logins({"ada": addresses(1)}, [shelf.chain_id])
    await warm_ups.offer(shelf, "login", addresses(1))
    tries = 0

    async def given_up() -> bool:
        nonlocal tries
        part, _ = await warm_ups.take(shelf, "part")
        if part:
            tries += 1
            await warm_ups.settle(shelf, "part", done=(), given_up=(), again=part)
        progress = await warm_ups.progress("ada", shelf.chain_id)
        return progress is not None and progress.failed == 1

    await until(given_up)
    assert tries == MOST_ATTEMPTS


async def test_a_vault_that_failed_in_one_lane_and_was_fetched_in_the_other_is_done(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make()
    later = replace(shelf, later=True)
    await warm_ups.note_logins({"ada": addresses(1)}, [shelf.chain_id])
    for lane, outcome in ((later, "given_up"), (shelf, "done")):
        await warm_ups.offer(lane, "login", addresses(1))
        part, _ = await warm_ups.take(lane, "part")
        outcomes: dict[str, Sequence[Address]] = {"done": (), "given_up": (), "again": ()}
        await warm_ups.settle(lane, "part", **{**outcomes, outcome: part})

    progress = await warm_ups.progress("ada", shelf.chain_id)
    assert progress is not None
    assert (progress.done, progress.failed) == (1, 0)


async def test_a_vault_that_was_given_up_has_all_its_tries_again_at_the_next_login(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make(pause_seconds=30)
    await warm_ups.note_logins({"ada": addresses(1)}, [shelf.chain_id])
    await warm_ups.offer(shelf, "login", addresses(1))
    part, _ = await warm_ups.take(shelf, "part")
    await warm_ups.settle(shelf, "part", done=(), given_up=(), again=part)
    await warm_ups.take(shelf, "part")
    await warm_ups.settle(shelf, "part", done=(), given_up=part, again=())
    await warm_ups.offer(shelf, "next login", addresses(1))

    [unit] = await warm_ups.units("ada", shelf.chain_id) or ()
    assert (unit.state, unit.failures) == (UnitState.WAITING, 0)


async def test_each_failure_doubles_the_pause_up_to_a_bound(make: Make, shelf: Shelf) -> None:
    warm_ups = make(pause_seconds=0.02)
    await warm_ups.offer(shelf, "login", addresses(1))
    pauses: list[float] = []

    async def failed_again() -> bool:
        part, _ = await warm_ups.take(shelf, f"part-{len(pauses)}")
        if part:
            token = f"part-{len(pauses)}"
            told = await warm_ups.settle(shelf, token, done=(), given_up=(), again=part)
            pauses.append(told.delay_seconds)
        return len(pauses) == 3

    await until(failed_again)
    assert pauses == [0.02, 0.04, 0.08]


async def test_another_login_does_not_end_the_pause_of_a_vault_that_failed(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make(pause_seconds=30)
    await warm_ups.offer(shelf, "login", addresses(1))
    part, _ = await warm_ups.take(shelf, "part")
    await warm_ups.settle(shelf, "part", done=(), given_up=(), again=part)
    await warm_ups.offer(shelf, "another", addresses(1))
    early, _ = await warm_ups.take(shelf, "another part")

    assert (len(part), early) == (1, ())
