"""The internal routes: what each does at once, and what it leaves to the workers."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from api.internal import actions
from domain.networks import Network
from domain.values import checksum_address
from registry.models import Predicate
from supervisor.ports import free_port
from tasks import names
from tests.api_support import (
    CHAIN_ID,
    KEY,
    RecordingPublisher,
    World,
    on_both_databases,
    started,
)
from tests.databases import bytes32


def test_task_names_and_queues_are_those_of_the_workers() -> None:
    assert actions.INVALIDATE_TASK == names.INVALIDATE
    assert actions.REFILL_TASK == names.REFILL
    assert actions.INVALIDATE_ALL_TASK == names.INVALIDATE_ALL
    assert actions.CLEAR_ALL_TASK == names.CLEAR_ALL
    assert names.Queue.INVALIDATION == actions.INVALIDATION_QUEUE


@pytest.mark.parametrize("path", ["/cache/invalidate", "/invalidate-balance"])
@pytest.mark.parametrize("field", ["predicateAddress", "predicate_address"])
async def test_an_invalidation_acts_at_once_sets_bakos_flags_and_enqueues_the_refill(
    world: World, path: str, field: str
) -> None:
    address = bytes32()
    await world.warm(address)

    answer = await world.internal(path, {field: checksum_address(address), "chainId": CHAIN_ID})

    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert answer.json()["data"]["invalidatedCount"] == 1
    assert isinstance(answer.json()["timestamp"], int)
    assert not await world.redis.exists(f"balance:{address}:{CHAIN_ID}")
    assert await world.redis.exists(f"balance:invalidated:{address}:{CHAIN_ID}")
    assert await world.redis.exists(f"tx:refresh:{address}:{CHAIN_ID}")
    [task] = world.publisher.sent
    assert (task.name, task.queue) == ("balances.refill", "invalidation")
    assert task.args == [[address], CHAIN_ID, None]
    assert task.expires is None
    assert answer.json()["data"]["taskId"]


async def test_without_a_chain_id_every_configured_chain_is_meant(world: World) -> None:
    address = bytes32()
    await world.warm(address)

    await world.internal("/cache/invalidate", {"predicateAddress": address})

    assert await world.redis.exists(f"balance:invalidated:{address}")
    assert [t.args for t in world.publisher.sent] == [[[address], CHAIN_ID, None]]


async def test_chain_id_zero_is_one_chain_and_no_chain_id_is_all_of_them(world: World) -> None:
    address = bytes32()
    await world.warm(address)
    testnet = Network(0, "testnet", (f"http://127.0.0.1:{free_port()}/v1/graphql",))
    settings = world.settings.model_copy(
        update={"fuel_networks": (*world.settings.fuel_networks, testnet)}
    )
    publisher = RecordingPublisher()
    headers = {"X-API-Key": KEY}
    async with started(settings, publisher) as client:
        body = {"predicateAddress": address, "chainId": 0}
        await client.post("/internal/cache/invalidate", json=body, headers=headers)
        mainnet_kept = await world.redis.exists(f"balance:{address}:{CHAIN_ID}")
        flags = await world.redis.keys(f"balance:invalidated:{address}*")
        zero_alone = [task.args for task in publisher.sent]
        await client.post(
            "/internal/cache/invalidate", json={"predicateAddress": address}, headers=headers
        )

    assert mainnet_kept
    assert flags == [f"balance:invalidated:{address}:0".encode()]
    assert zero_alone == [[[address], 0, None]]
    assert not await world.redis.exists(f"balance:{address}:{CHAIN_ID}")
    assert [task.args for task in publisher.sent[1:]] == [
        [[address], CHAIN_ID, None],
        [[address], 0, None],
    ]


@on_both_databases
async def test_a_user_a_workspace_and_a_list_can_be_invalidated(world: World) -> None:
    user = await world.database.add_user()
    workspace_id = await world.database.add_workspace(user)
    first, second = bytes32(), bytes32()
    await world.database.add_predicate(user, predicate_address=first, workspace_id=workspace_id)
    await world.database.add_predicate(user, predicate_address=second)

    counts = [
        (await world.internal("/cache/invalidate", body)).json()["data"]["invalidatedCount"]
        for body in (
            {"userId": user.user_id},
            {"workspaceId": workspace_id},
            {"addresses": [first, second, first], "chainId": CHAIN_ID, "blockHeight": 7},
        )
    ]

    assert counts == [2, 1, 2]
    assert world.publisher.sent[-1].args == [[first, second], CHAIN_ID, 7]


_FOR_ALL: list[tuple[str, Any, str, list[object]]] = [
    ("/cache/invalidate", {"all": True}, "balances.invalidate_all", [None]),
    (
        "/cache/invalidate",
        {"all": True, "chainId": CHAIN_ID},
        "balances.invalidate_all",
        [CHAIN_ID],
    ),
    ("/invalidate-all", None, "balances.invalidate_all", [None]),
    ("/cache/clear", {"all": True}, "balances.clear_all", [None]),
    ("/cache/clear", {"all": True, "chainId": CHAIN_ID}, "balances.clear_all", [CHAIN_ID]),
    ("/clear-all-cache", None, "balances.clear_all", [None]),
]


@pytest.mark.parametrize(("path", "body", "name", "arguments"), _FOR_ALL)
async def test_what_concerns_everything_is_left_to_the_workers_and_refused_without_the_broker(
    world: World, path: str, body: Any, name: str, arguments: list[object]
) -> None:
    accepted = await world.internal(path, body)
    world.publisher.is_down = True
    refused = await world.internal(path, body)

    [task] = world.publisher.sent
    assert (task.name, task.args, task.queue) == (name, arguments, "invalidation")
    assert task.expires is None
    assert accepted.status_code == 200
    assert accepted.json()["data"]["taskId"]
    assert "enqueued" in accepted.json()["data"]["message"]
    assert refused.status_code == 503
    assert refused.headers["content-type"] == "application/problem+json"
    assert "broker" in refused.json()["detail"]
    assert refused.headers["retry-after"]


@on_both_databases
async def test_a_user_with_thousands_of_vaults_is_invalidated_by_the_workers_in_portions(
    world: World,
) -> None:
    user = await world.database.add_user()
    addresses = {bytes32() for _ in range(1_001)}
    rows = [
        {"name": "v", "predicate_address": a, "configurable": "{}", "owner_id": user.user_id}
        for a in addresses
    ]
    await world.database.insert(Predicate, *rows)

    answer = await world.internal("/cache/invalidate", {"userId": user.user_id})
    world.publisher.is_down = True
    refused = await world.internal("/cache/invalidate", {"userId": user.user_id})

    assert answer.json()["data"]["invalidatedCount"] == 1_001
    assert {task.name for task in world.publisher.sent} == {"balances.invalidate"}
    portions = [task.args[0] for task in world.publisher.sent]
    assert [len(portion) for portion in portions if isinstance(portion, list)] == [500, 500, 1]
    assert {a for portion in portions if isinstance(portion, list) for a in portion} == addresses
    assert refused.status_code == 503


async def test_clearing_forgets_the_last_known_too(world: World) -> None:
    kept, gone = bytes32(), bytes32()
    await world.warm(kept, gone)

    answer = await world.internal("/cache/clear", {"predicateAddress": gone})

    assert answer.json()["data"]["clearedCount"] > 0
    assert not await world.redis.exists(f"balance:{gone}:{CHAIN_ID}", f"bc:last:{gone}:{CHAIN_ID}")
    assert await world.redis.exists(f"balance:{kept}:{CHAIN_ID}")


@pytest.mark.parametrize("path", ["/cache/warmup", "/warmup-user"])
async def test_a_warm_up_is_enqueued_for_the_network_that_the_url_names(
    world: World, path: str
) -> None:
    user = await world.database.add_user()
    await world.database.add_predicate(user)

    answer = await world.internal(
        path, {"userId": user.user_id, "networkUrl": world.network_url + "/"}
    )

    data = answer.json()["data"]
    assert data.items() >= {"total": 1, "warmedUp": 0}.items()
    assert data["taskId"]
    [task] = world.publisher.sent
    assert (task.name, task.args, task.queue) == (
        "balances.warm_user",
        [user.user_id, CHAIN_ID],
        "warmup",
    )
    assert task.expires == 120


async def test_a_url_that_is_not_on_the_allow_list_is_never_called(world: World) -> None:
    user = await world.database.add_user()
    answer = await world.internal(
        "/cache/warmup", {"userId": user.user_id, "networkUrl": "https://evil.example/v1/graphql"}
    )
    assert answer.status_code == 422
    assert world.publisher.sent == []


@on_both_databases
async def test_an_unknown_user_is_404(world: World) -> None:
    for path in ("/cache/warmup", "/cache/invalidate"):
        assert (await world.internal(path, {"userId": str(uuid4())})).status_code == 404


async def test_statistics_have_bakos_shape(world: World) -> None:
    await world.internal("/cache/metrics/reset")
    await world.warm(bytes32())
    headers = {"X-API-Key": KEY}

    stats = (await world.get("/internal/cache/stats", headers)).json()
    flat = (await world.get("/internal/cache-stats", headers)).json()

    assert stats["success"] is True
    data = stats["data"]
    assert (data["hits"], data["misses"], data["hitRate"]) == (0, 1, 0.0)
    assert data["keysAreLowerBounds"] is False
    assert data["totalKeys"] == 1
    assert data["byChain"] == {str(CHAIN_ID): 1}
    assert data["config"] == {"enabled": True, "ttl": 600, "invalidationFlagTtl": 3600}
    assert {
        "hitRate",
        "invalidations",
        "warmups",
        "warmupPredicates",
        "errors",
        "uptimeSeconds",
    } <= set(data)
    assert flat["ttl"] == 600
    assert flat["totalKeys"] == 1


async def test_keys_are_shown_but_never_sessions(world: World) -> None:
    address = bytes32()
    await world.warm(address)
    headers = {"X-API-Key": KEY}

    shown = (await world.get("/internal/cache/keys", headers)).json()["data"]
    refused = [
        await world.get(f"/internal/cache/keys?pattern={pattern}", headers)
        for pattern in ("*", "session-*", "s*", "[s]*", "%00balance:*")
    ]

    assert shown == {
        "pattern": "balance:*",
        "count": 1,
        "keys": [f"balance:{address}:{CHAIN_ID}"],
        "truncated": False,
    }
    assert {answer.status_code for answer in refused} == {422}
