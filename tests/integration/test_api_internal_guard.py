"""The doors of the internal API: keys, addresses, rates; shut when in doubt."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from structlog.testing import capture_logs

from supervisor.ports import free_port
from tests.api_support import (
    KEY,
    RecordingPublisher,
    World,
    started,
)


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
