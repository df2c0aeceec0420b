"""The internal routes while the broker or Redis is away: accepted for sure, or refused."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from supervisor.ports import free_port
from tasks.publisher import open_publisher
from tests.api_support import (
    CHAIN_ID,
    ETH,
    KEY,
    World,
    started,
)
from tests.databases import bytes32


async def test_without_a_publisher_what_needs_one_says_so(world: World) -> None:
    user = await world.database.add_user()
    headers = {"X-API-Key": KEY}
    async with started(world.settings, None) as client:
        answers = [
            await client.post(f"/internal{path}", json=body, headers=headers)
            for path, body in (
                ("/invalidate-all", None),
                ("/cache/warmup", {"userId": user.user_id}),
            )
        ]
    assert [answer.status_code for answer in answers] == [503, 503]


@contextmanager
def _listener_that_swallows() -> Iterator[int]:
    """Listen, take connections in, and never answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener.getsockname()[1]


async def test_a_broker_that_swallows_connections_delays_no_answer(world: World) -> None:
    user, address = await world.database.add_user(), bytes32()
    await world.warm(address)
    headers = {"X-API-Key": KEY}
    calls: list[tuple[str, Any]] = [
        ("/invalidate-all", None),
        ("/clear-all-cache", None),
        ("/cache/warmup", {"userId": user.user_id}),
        ("/cache/invalidate", {"predicateAddress": address}),
        ("/events/transaction", {"chainId": CHAIN_ID, "predicateAddress": address}),
    ]
    with _listener_that_swallows() as port:
        settings = world.settings.model_copy(
            update={"celery_broker_url": f"redis://127.0.0.1:{port}/0"}
        )
        publisher = open_publisher(settings)
        try:
            async with started(settings, publisher) as client, asyncio.timeout(10):
                answers = [
                    await client.post(f"/internal{path}", json=body, headers=headers)
                    for path, body in calls * 3
                ]
        finally:
            await publisher.close()

    assert [answer.status_code for answer in answers] == [503, 503, 503, 200, 202] * 3
    assert not await world.redis.exists(f"balance:{address}:{CHAIN_ID}")


async def test_without_the_broker_the_invalidation_still_holds(world: World) -> None:
    address = bytes32()
    await world.warm(address)
    world.publisher.is_down = True

    answer = await world.internal("/cache/invalidate", {"predicateAddress": address})
    warm_up = await world.internal("/cache/warmup", {"userId": str(uuid4())})

    assert answer.status_code == 200
    assert answer.json()["data"]["taskId"] is None
    assert not await world.redis.exists(f"balance:{address}:{CHAIN_ID}")
    assert warm_up.status_code == 404


async def test_without_redis_the_task_carries_the_invalidation_and_without_both_nothing_is_accepted(
    world: World,
) -> None:
    address = bytes32()
    settings = world.settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    body = {
        "predicateAddress": address,
        "chainId": CHAIN_ID,
        "blockHeight": 3,
        "transactionId": "t",
    }
    headers = {"X-API-Key": KEY}

    async with started(settings, world.publisher) as client:
        accepted = await client.post("/internal/cache/invalidate", json=body, headers=headers)
        world.publisher.is_down = True
        refused = await client.post("/internal/cache/invalidate", json=body, headers=headers)

    assert accepted.status_code == 200
    [task] = world.publisher.sent
    assert (task.name, task.args) == ("balances.invalidate", [[address], CHAIN_ID, 3, "t"])
    assert refused.status_code == 503


async def test_a_redis_that_swallows_connections_keeps_nobody_waiting_for_long(
    world: World,
) -> None:
    user, address = await world.database.add_user(), bytes32()
    await world.database.add_token(user)
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    world.give(address, {ETH: 5})
    session = {"Authorization": user.token, "signeraddress": user.address}
    event = {"chainId": CHAIN_ID, "blockHeight": 7, "predicateAddress": address}

    with _listener_that_swallows() as port:
        settings = world.settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{port}/0"})
        async with started(settings, world.publisher) as client, asyncio.timeout(60):
            taken = await client.post(
                "/internal/events/transaction", json=event, headers={"X-API-Key": KEY}
            )
            read = await client.get(f"/predicate/reserved-coins/{predicate_id}", headers=session)

    assert taken.status_code == 202
    [task] = world.publisher.sent
    assert (task.name, task.args) == ("balances.invalidate", [[address], CHAIN_ID, 7, None])
    assert read.status_code == 200
    assert read.json()["totalBalance"] == [{"assetId": ETH, "amount": "0x5"}]
    assert read.json()["freshness"]["source"] == "node"
