"""Whole requests that are taken behind, without a message."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from cache.warm_ups import Shelf, Tickets
from domain.values import Address
from tests.provider_support import until
from tests.warm_up_support import Make, addresses


async def test_a_whole_request_may_be_taken_behind_and_no_part_of_one(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make(concurrency=2)
    told = [await warm_ups.offer(shelf, f"login-{n}", addresses(70, 70 * n)) for n in range(3)]
    _, part = await warm_ups.take_full(shelf)
    _, rest = await warm_ups.take_full(shelf)
    message, _ = await warm_ups.take(shelf, "message")
    busy = await warm_ups.offer(shelf, "login-4", addresses(300, 1000))
    _, too_many = await warm_ups.take_full(shelf)

    assert [tickets.full for tickets in told] == [False, False, True]
    assert (len(part), rest, len(message)) == (200, (), 10)
    assert (busy.full, too_many) == (False, ())


async def test_a_part_that_was_taken_behind_comes_back_when_its_process_died(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make(part_seconds=0.4)
    (out,) = [await warm_ups.offer(shelf, "login", addresses(200))]
    await warm_ups.take_full(shelf)  # and its process is killed
    messages, taken = [out], list[Address]()

    async def comes_back() -> bool:
        # As the lane does: one message for each ticket, and none without.
        for at in range(messages.pop().count):
            part, tickets = await warm_ups.take(shelf, uuid4().hex + str(at))
            taken.extend(part)
            messages.append(tickets)
        return bool(taken)

    await until(comes_back)
    assert set(taken) == set(addresses(200))


async def test_what_was_fetched_behind_leaves_the_rest_to_the_message_that_is_out(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make()
    out = await warm_ups.offer(shelf, "login", addresses(350))
    token, part = await warm_ups.take_full(shelf)
    settled = await warm_ups.settle(shelf, token, done=part[1:], given_up=(), again=part[:1])
    rest, _ = await warm_ups.take(shelf, "message")

    assert (out.count, settled) == (2, Tickets())
    assert len(rest) == 150


async def test_when_what_was_taken_behind_is_done_no_ticket_is_left(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make()
    await warm_ups.offer(shelf, "login", addresses(200))
    token, part = await warm_ups.take_full(shelf)
    _, while_it_goes_on = await warm_ups.take(shelf, "message")
    settled = await warm_ups.settle(shelf, token, done=part, given_up=(), again=())
    _, afterwards = await warm_ups.take(shelf, "the next message")

    assert while_it_goes_on == Tickets(1, 0.5)
    assert settled == afterwards == Tickets()


async def test_what_one_lane_fetches_behind_keeps_no_message_of_the_other_looking(
    make: Make, shelf: Shelf
) -> None:
    warm_ups = make()
    later = replace(shelf, later=True)
    await warm_ups.offer(later, "login", addresses(200))
    _, behind = await warm_ups.take_full(later)
    _, tickets = await warm_ups.take(shelf, "message")

    assert len(behind) == 200
    assert tickets == Tickets()
