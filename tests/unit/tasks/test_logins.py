"""Logins that come together share messages; one that comes alone waits for nobody."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from domain.errors import PublishingError
from tasks.logins import Logins
from tasks.names import LOGINS_OF_A_MESSAGE, WARM_USER, WARM_USERS, Queue


@dataclass
class Broker:
    """Takes messages when it is let."""

    sent: list[tuple[str, list[object]]] = field(default_factory=list)
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    is_down: bool = False

    async def send(
        self, name: str, args: Sequence[object], *, queue: str, expires: float | None
    ) -> str:
        assert (queue, expires) == (Queue.WARMUP, 120)
        self.sent.append((name, list(args)))
        place = len(self.sent)
        await asyncio.sleep(0)  # a broker never answers at once
        await self.may_go_on.wait()
        if self.is_down:
            raise PublishingError("the broker is gone")
        return f"task-{place}"


async def test_a_login_alone_is_a_message_of_its_own() -> None:
    broker = Broker()
    broker.may_go_on.set()
    logins = Logins(broker.send)

    assert await logins.warm("ada", 9889) == "task-1"
    assert await logins.warm("ada", None) == "task-2"
    assert broker.sent == [(WARM_USER, ["ada", 9889]), (WARM_USER, ["ada", None])]


async def test_those_who_come_meanwhile_share_a_message_for_each_network() -> None:
    broker = Broker()
    logins = Logins(broker.send)
    first = asyncio.create_task(logins.warm("first", 0))
    await asyncio.sleep(0)
    others = [("ada", 0), ("bob", 9889), ("ada", 0), ("cid", 0)]
    told = asyncio.gather(*(logins.warm(*other) for other in others))
    await asyncio.sleep(0)  # they have come
    broker.may_go_on.set()

    assert await first == "task-1"
    ada, bob, again, cid = await told
    assert ada == again == cid != bob
    assert broker.sent == [
        (WARM_USER, ["first", 0]),
        (WARM_USERS, [["ada", "cid"], 0]),
        (WARM_USER, ["bob", 9889]),
    ]


async def test_a_message_has_a_bound_and_nobody_is_left_out() -> None:
    broker = Broker()
    broker.may_go_on.set()
    logins = Logins(broker.send)
    users = [f"user-{n}" for n in range(1000)]
    await asyncio.gather(*(logins.warm(user, 0) for user in users))

    messages = [args[0] if isinstance(args[0], list) else [args[0]] for _, args in broker.sent]
    assert Counter(user for some in messages for user in some) == Counter(users)
    assert max(map(len, messages)) <= LOGINS_OF_A_MESSAGE
    assert len(broker.sent) <= 1 + 1000 / LOGINS_OF_A_MESSAGE


async def test_a_broker_that_is_gone_is_told_to_each_and_asked_for_none_of_those_who_wait() -> None:
    broker = Broker(is_down=True)
    logins = Logins(broker.send)
    waiting = asyncio.gather(
        *(logins.warm(f"user-{n}", 0) for n in range(500)), return_exceptions=True
    )
    await asyncio.sleep(0)
    broker.may_go_on.set()

    assert {type(outcome) for outcome in await waiting} == {PublishingError}
    assert len(broker.sent) <= 3
    with pytest.raises(PublishingError, match="gone"):
        await logins.warm("ada", 0)
