from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from api.internal import actions
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.bech32 import encode_fuel_bech32
from domain.networks import Network
from domain.values import checksum_address
from registry.models import Predicate
from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer
from tasks import names
from tasks.publisher import open_publisher
from tests.api_support import CHAIN_ID, ETH, KEY, RecordingPublisher, World, open_world, started
from tests.databases import bytes32


@pytest.fixture(scope="module")
def node() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=CHAIN_ID)) as server:
        yield server


@pytest.fixture
async def world(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path
) -> AsyncIterator[World]:
    database_url = f"sqlite:///{tmp_path}/bako.sqlite3"
    async with open_world(cache_server.url(), database_url, node) as world:
        yield world


async def _warm(world: World, *addresses: str) -> None:
    """Publish a snapshot of each predicate, as a read does."""
    user = await world.database.add_user()
    for address in addresses:
        await world.database.add_predicate(user, predicate_address=address)
    answer = await world.get("/user/allocation", await world.sign_in(user))
    assert answer.status_code == 200
    assert await world.redis.exists(*(f"balance:{a}:{CHAIN_ID}" for a in addresses)) == len(
        addresses
    )


def test_task_names_and_queues_are_those_of_the_workers() -> None:
    assert actions.INVALIDATE_TASK == names.INVALIDATE
    assert actions.REFILL_TASK == names.REFILL
    assert actions.WARM_TASK == names.WARM_USER
    assert actions.INVALIDATE_ALL_TASK == names.INVALIDATE_ALL
    assert actions.CLEAR_ALL_TASK == names.CLEAR_ALL
    assert names.Queue.INVALIDATION == actions.INVALIDATION_QUEUE
    assert names.Queue.WARMUP == actions.WARMUP_QUEUE
    assert names.WARMUP_EXPIRES_SECONDS == actions.WARMUP_EXPIRES_SECONDS


@pytest.mark.parametrize("path", ["/cache/invalidate", "/invalidate-balance"])
@pytest.mark.parametrize("field", ["predicateAddress", "predicate_address"])
async def test_an_invalidation_acts_at_once_sets_bakos_flags_and_enqueues_the_refill(
    world: World, path: str, field: str
) -> None:
    address = bytes32()
    await _warm(world, address)

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
    await _warm(world, address)

    await world.internal("/cache/invalidate", {"predicateAddress": address})

    assert await world.redis.exists(f"balance:invalidated:{address}")
    assert [t.args for t in world.publisher.sent] == [[[address], CHAIN_ID, None]]


async def test_chain_id_zero_is_one_chain_and_no_chain_id_is_all_of_them(world: World) -> None:
    address = bytes32()
    await _warm(world, address)
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
def _broker_that_swallows() -> Iterator[int]:
    """Listen, take connections in, and never answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener.getsockname()[1]


async def test_a_broker_that_swallows_connections_delays_no_answer(world: World) -> None:
    user, address = await world.database.add_user(), bytes32()
    await _warm(world, address)
    headers = {"X-API-Key": KEY}
    calls: list[tuple[str, Any]] = [
        ("/invalidate-all", None),
        ("/clear-all-cache", None),
        ("/cache/warmup", {"userId": user.user_id}),
        ("/cache/invalidate", {"predicateAddress": address}),
        ("/events/transaction", {"chainId": CHAIN_ID, "predicateAddress": address}),
    ]
    with _broker_that_swallows() as port:
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
    await _warm(world, kept, gone)

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


async def test_an_unknown_user_is_404(world: World) -> None:
    for path in ("/cache/warmup", "/cache/invalidate"):
        assert (await world.internal(path, {"userId": str(uuid4())})).status_code == 404


async def test_statistics_have_bakos_shape(world: World) -> None:
    await world.internal("/cache/metrics/reset")
    await _warm(world, bytes32())
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
    await _warm(world, address)
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


async def test_a_transaction_invalidates_every_vault_that_it_touches_at_its_height(
    world: World,
) -> None:
    sender, receiver, legacy, wallet, contract = [bytes32() for _ in range(5)]
    await _warm(world, sender, receiver)
    user = await world.database.add_user()
    await world.database.add_predicate(user, predicate_address=encode_fuel_bech32(legacy))
    event = {
        "id": str(uuid4()),
        "hash": "ab" * 32,
        "status": "success",
        "network": {"url": "https://user:pass@anything.example", "chainId": CHAIN_ID},
        "blockHeight": 12,
        "predicate": {"predicateAddress": sender, "name": "vault"},
        "summary": {
            "operations": [
                {
                    "name": "Transfer",
                    "from": {"address": sender, "type": 1},
                    "to": {"address": checksum_address(receiver)},
                },
                {"name": "Transfer", "to": {"address": legacy}},
                {"name": "Transfer", "to": {"address": wallet}, "assetsSent": []},
                {"name": "Call", "to": {"address": contract, "chain": None}},
                {"name": "Odd", "to": {"address": "0xodd"}, "from": None},
            ]
        },
    }

    answer = await world.internal("/events/transaction", event)

    data = answer.json()["data"]
    assert answer.status_code == 202
    assert data["invalidated"] == [sender, receiver, legacy]
    assert data["ignored"] == ["0xodd"]
    assert (data["chainId"], data["blockHeight"]) == (CHAIN_ID, 12)
    for address in (sender, receiver, legacy):
        assert await world.redis.exists(f"tx:refresh:{address}:{CHAIN_ID}")
    assert not await world.redis.exists(f"tx:refresh:{wallet}:{CHAIN_ID}")
    [task] = world.publisher.sent
    assert task.args == [[sender, receiver, legacy], CHAIN_ID, 12]


async def test_after_an_event_no_read_is_fresh_below_its_height(world: World) -> None:
    address = bytes32()
    world.give(address, {ETH: 10})
    user = await world.database.add_user()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    headers = await world.sign_in(user)
    path = f"/predicate/reserved-coins/{predicate_id}"
    await world.get(path, headers)
    world.give(address, {ETH: 7})
    world.node.chain.produce_blocks(1)
    height = world.node.chain.height

    event = {"chainId": CHAIN_ID, "blockHeight": height, "predicateAddress": address}
    await world.internal("/events/transaction", event)
    body = (await world.get(path, headers)).json()

    assert body["totalBalance"] == [{"assetId": ETH, "amount": "0x7"}]
    assert body["freshness"]["state"] == "fresh"
    assert body["freshness"]["blockHeight"] >= height


_BAD_BODIES: list[tuple[str, Any]] = [
    ("/cache/invalidate", {}),
    ("/cache/invalidate", {"predicateAddress": "0x1", "chainId": CHAIN_ID}),
    ("/cache/invalidate", {"predicateAddress": "0xfuel139e53"}),
    ("/cache/invalidate", {"predicateAddress": "0x" + "ab" * 32, "userId": "x"}),
    ("/cache/invalidate", {"predicateAddress": "0x" + "ab" * 32, "chainId": 77}),
    ("/cache/invalidate", {"predicateAddress": "0x" + "ab" * 32, "chainId": "9889"}),
    ("/cache/invalidate", {"predicateAddress": "0x" + "ab" * 32, "chainId": True}),
    ("/cache/invalidate", {"predicateAddress": "0x" + "ab" * 32, "blockHeight": 5}),
    ("/cache/invalidate", {"predicateAddres": "0x" + "ab" * 32}),
    ("/cache/invalidate", {"addresses": []}),
    ("/cache/invalidate", {"addresses": ["0x" + "ab" * 32] * 1_001}),
    ("/cache/invalidate", {"all": "true"}),
    ("/cache/invalidate", {"all": True, "chainId": 77}),
    ("/cache/invalidate", {"all": True, "chainId": CHAIN_ID, "blockHeight": 5}),
    ("/cache/clear", {"all": True, "chainId": 77}),
    ("/cache/invalidate", [1]),
    ("/cache/clear", {}),
    ("/cache/clear", {"all": True, "predicateAddress": "0x" + "ab" * 32}),
    ("/cache/warmup", {}),
    ("/events/transaction", {}),
    ("/events/transaction", {"chainId": CHAIN_ID}),
    ("/events/transaction", {"chainId": 77, "predicateAddress": "0x" + "ab" * 32}),
    ("/events/transaction", {"chainId": CHAIN_ID, "predicateAddress": "0x1"}),
    ("/events/transaction", {"chainId": CHAIN_ID, "operations": "many"}),
]


async def test_bad_bodies_are_refused_and_change_nothing(world: World) -> None:
    for path, body in _BAD_BODIES:
        answer = await world.internal(path, body)

        assert answer.status_code == 422, (path, body, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    assert world.publisher.sent == []
    keys = {str(key).rpartition(":")[0] for key in await world.redis.keys("*")}
    assert {key.removeprefix("b'")[:8] for key in keys} <= {
        "bc",
        "bc:calls",
    }  # the server's name, calls counted


async def test_without_the_broker_the_invalidation_still_holds(world: World) -> None:
    address = bytes32()
    await _warm(world, address)
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


async def test_without_a_configured_key_the_doors_are_shut_and_the_log_says_why(
    world: World,
) -> None:
    settings = world.settings.model_copy(update={"internal_api_key": None})
    with capture_logs() as logs:
        async with started(settings, world.publisher) as client:
            answers = [
                await client.post("/internal/cache/invalidate", json={"all": True}, headers=headers)
                for headers in ({}, {"X-API-Key": ""}, {"X-API-Key": KEY})
            ]
    assert [a.status_code for a in answers] == [503, 503, 503]
    assert {
        (entry["event"], entry["why"]) for entry in logs if entry["event"].startswith("internal")
    } == {
        ("internal_api_shut", "INTERNAL_API_KEY is not set"),
        ("internal_call_refused", "INTERNAL_API_KEY is not set"),
    }


async def test_keys_can_be_rotated_and_a_wrong_one_is_refused(world: World) -> None:
    settings = world.settings.__class__(
        **{
            **world.settings.model_dump(),
            "REDIS_URL": world.settings.redis_url,
            "internal_api_key": "old-key, new-key ,",
        }
    )
    async with started(settings, world.publisher) as client:
        statuses = {
            key: (
                await client.get(
                    "/internal/cache/stats", headers=[(b"x-api-key", key.encode("latin-1"))]
                )
            ).status_code
            for key in (
                "old-key",
                "new-key",
                "",
                ",",
                "old-key, new-key ,",
                "old-ke",
                "\xfc",
            )
        }
        without = await client.get("/internal/cache/stats")
    assert list(statuses.values()) == [200, 200, 401, 401, 401, 401, 401]
    assert without.status_code == 401


@pytest.mark.parametrize(
    ("peer", "forwarded", "status"),
    [
        ("10.1.2.3", None, 200),
        ("11.1.2.3", None, 403),
        ("::ffff:10.1.2.3", None, 200),
        ("11.1.2.3", "10.1.2.3", 403),  # no proxy of ours: the header is a claim
        ("192.168.0.1", "10.1.2.3", 200),
        ("192.168.0.1", "10.1.2.3, 11.1.2.3", 403),  # the last one before the proxy counts
        ("192.168.0.1", "11.1.2.3, 10.1.2.3", 200),
        ("192.168.0.1", "10.1.2.3, 192.168.0.2", 200),
        ("192.168.0.1", "not an address", 403),
        ("192.168.0.1", None, 403),
        ("testclient", None, 403),
    ],
)
async def test_only_allowed_addresses_may_call(
    world: World, peer: str, forwarded: str | None, status: int
) -> None:
    settings = world.settings.model_copy(
        update={
            "internal_allowed_cidrs": (ip_network("10.0.0.0/8"),),
            "trusted_proxies": (ip_network("192.168.0.0/16"),),
        }
    )
    headers = {"X-API-Key": KEY} | ({"X-Forwarded-For": forwarded} if forwarded else {})
    async with started(settings, world.publisher, peer=peer) as client:
        answer = await client.get("/internal/cache/stats", headers=headers)
    assert answer.status_code == status


async def test_calls_are_limited_for_all_processes_together(world: World) -> None:
    settings = world.settings.model_copy(update={"internal_rate_limit": 5})
    headers = {"X-API-Key": KEY}
    async with (
        started(settings, RecordingPublisher(), peer="10.0.0.1") as first,
        started(settings, RecordingPublisher(), peer="10.0.0.1") as second,
        started(settings, RecordingPublisher(), peer="10.0.0.2") as other,
    ):
        answers = [
            await client.get("/internal/cache/stats", headers=headers)
            for _ in range(6)
            for client in (first, second)
        ]
        elsewhere = await other.get("/internal/cache/stats", headers=headers)

    statuses = [a.status_code for a in answers]
    # A new minute may begin in between: then the count begins anew, once.
    assert 5 <= statuses.count(200) <= 10
    assert statuses.count(429) == 12 - statuses.count(200)
    refused = next(a for a in answers if a.status_code == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert elsewhere.status_code == 200


async def test_without_redis_calls_are_limited_by_each_process(world: World) -> None:
    settings = world.settings.model_copy(
        update={"redis_url": f"redis://127.0.0.1:{free_port()}/0", "internal_rate_limit": 3}
    )
    async with started(settings, world.publisher) as client:
        statuses = [
            (await client.get("/internal/cache/stats", headers={"X-API-Key": "wrong"})).status_code
            for _ in range(8)
        ]
    assert 3 <= statuses.count(401) <= 6
    assert statuses.count(429) == 8 - statuses.count(401)


async def test_a_body_that_is_no_json_is_refused(world: World) -> None:
    for content, kind in (
        (b"{", "application/json"),
        (b"\xff\xfe", "application/json"),
        (json.dumps({"all": True}).encode(), "text/plain"),
        (b"", "application/json"),
    ):
        answer = await world.client.post(
            "/internal/cache/invalidate",
            content=content,
            headers={"X-API-Key": KEY, "Content-Type": kind},
        )
        assert answer.status_code == 422, (content, kind)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 500_000,
        b'{"predicateAddress": ' + b"[" * 2_000 + b"]" * 2_000 + b"}",
        b'{"chainId": ' + b"9" * 10_000 + b', "all": true}',
        b'{"chainId": 1e400, "all": true}',
        b'{"chainId": NaN, "all": true}',
        b'{"userId": "\\ud800"}',
        b'{"all": true, "all": false}',
        b'{"predicateAddress": "0x' + b"a" * 900_000 + b'"}',
    ],
)
async def test_a_body_that_is_odd_json_is_refused_clearly(world: World, content: bytes) -> None:
    for path in ("/cache/invalidate", "/cache/clear", "/cache/warmup", "/events/transaction"):
        answer = await world.client.post(
            f"/internal{path}",
            content=content,
            headers={"X-API-Key": KEY, "Content-Type": "application/json"},
        )
        assert 400 <= answer.status_code < 500, (path, content[:40])
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.content) < 4_000
    assert world.publisher.sent == []


async def test_a_huge_body_is_refused(world: World) -> None:
    answer = await world.client.post(
        "/internal/cache/invalidate",
        content=b'{"userId": "' + b"x" * 3_000_000 + b'"}',
        headers={"X-API-Key": KEY, "Content-Type": "application/json"},
    )
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
