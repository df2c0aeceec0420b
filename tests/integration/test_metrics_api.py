"""``/metrics`` of the API on real parts, and the same counts in the document's JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from celery import Celery

from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from supervisor.valkey import EmbeddedServer
from tasks.lanes import open_lanes
from tasks.later import waiting, waiting_queue
from tasks.names import INVALIDATE, WARM_USER, Queue
from tasks.publisher import open_publisher
from tests.api_support import CHAIN_ID, ETH, KEY, World, open_world, settings_for, started
from tests.integration.test_api_server import address_of, environment_of, program
from tests.metrics_support import Scrape
from tests.rabbitmq_support import virtual_host


@pytest.fixture(scope="module")
def node() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=CHAIN_ID)) as server:
        yield server


@pytest.fixture
async def world(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path
) -> AsyncIterator[World]:
    url = f"sqlite:///{tmp_path}/bako.sqlite3"
    async with open_world(
        cache_server.url(), url, node, metrics_token="token-of-the-tests"
    ) as world:
        yield world


async def _told(world: World) -> Scrape:
    response = await world.get("/metrics")
    assert response.status_code == 200
    return Scrape(response.text)


async def test_reads_are_counted_and_the_age_of_what_was_served(world: World) -> None:
    user = await world.database.add_user()
    address = "0x" + "ab" * 32
    vault = await world.database.add_predicate(user, predicate_address=address)
    world.give(address, {ETH: 5})
    headers = await world.sign_in(user)
    before = await _told(world)

    first = await world.get(f"/predicate/reserved-coins/{vault}", headers)
    second = await world.get(f"/predicate/reserved-coins/{vault}", headers)
    await world.internal("/cache/invalidate", {"predicateAddress": address, "chainId": CHAIN_ID})
    after = await _told(world)

    def rise(name: str, **labels: object) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    assert (first.status_code, second.status_code) == (200, 200)
    assert rise("reads_total", outcome="miss") == 1
    assert rise("reads_total", outcome="hit") == 1
    assert rise("served_total", answer="fresh", source="node") == 1
    assert rise("served_total", answer="fresh", source="cache") == 1
    assert rise("served_age_seconds_count", answer="fresh") == 2
    assert rise("publishes_total", outcome="published") == 1
    assert rise("invalidations_total", chain_id=CHAIN_ID) == 1
    assert rise("node_requests_total", lane="read", outcome="answered") == 1
    stats = await world.client.get("/internal/cache/stats", headers={"X-API-Key": KEY})
    data = stats.json()["data"]
    assert (data["hits"], data["misses"], data["invalidations"]) == (1, 1, 1)
    assert data["staleByReason"] == {"expired": 0, "invalidated": 0}
    assert data["refusedPublishes"]["lease_lost"] == 0


async def test_metrics_are_for_known_addresses_and_the_token(world: World) -> None:
    async with started(world.settings, None, peer="203.0.113.9") as stranger:
        without = await stranger.get("/metrics")
        wrong = await stranger.get("/metrics", headers={"Authorization": "Bearer x"})
        right = await stranger.get(
            "/metrics", headers={"Authorization": "Bearer token-of-the-tests"}
        )
    unknown_proxy = await world.get("/metrics", {"X-Forwarded-For": "203.0.113.9"})

    assert [r.status_code for r in (without, wrong, right, unknown_proxy)] == [403, 403, 200, 403]
    assert without.headers["content-type"] == "application/problem+json"


async def test_without_redis_and_broker_the_own_counts_are_still_told(
    node: DevnetServer, tmp_path: Path
) -> None:
    gone = "redis://127.0.0.1:1/0"
    settings = settings_for(gone, f"sqlite:///{tmp_path}/x.sqlite3", node.url)
    async with started(settings, None) as client:
        told = Scrape((await client.get("/metrics")).text)

    assert told.has("cache_up")
    assert told.value("cache_up") == told.value("broker_up") == 0
    assert not told.has("hot_predicates")


async def test_lanes_on_redis_count_priorities_and_know_the_oldest(
    broker_server: EmbeddedServer, node: DevnetServer, tmp_path: Path
) -> None:
    settings = settings_for(
        broker_server.url(3),
        f"sqlite:///{tmp_path}/x.sqlite3",
        node.url,
        celery_broker_url=broker_server.url(4),
    )
    lanes = open_lanes(settings)
    async with open_publisher(settings, seconds=5.0) as publisher:
        await publisher.send(WARM_USER, ["nobody", CHAIN_ID], queue=Queue.WARMUP)
        await publisher.send(INVALIDATE, [["0x" + "ab" * 32]], queue=Queue.INVALIDATION)
        # As another program with priorities would publish.
        await asyncio.to_thread(
            publisher._app.send_task, WARM_USER, ["x"], queue="warmup", priority=9
        )
        state = await lanes.broker_state()
    lanes.close()

    by_lane = {lane.lane: lane for lane in state.lanes}
    assert (by_lane["warmup"].ready, by_lane["invalidation"].ready) == (2, 1)
    assert by_lane["refresh"].ready == by_lane["refresh"].oldest_seconds == 0
    oldest = by_lane["warmup"].oldest_seconds
    assert oldest is not None
    assert 0 <= oldest < 60
    assert state.memory_used


def _put_off(app: Celery, seconds: float) -> None:
    """Publish an invalidation that waits, as a task does that is tried again later."""
    queue = waiting_queue(Queue.INVALIDATION, seconds)
    routed: dict[str, Any] = {"queue": queue, "exchange": "", "routing_key": queue.name}
    with waiting(seconds):
        app.send_task(INVALIDATE, [["0x" + "ab" * 32]], **routed)


async def test_lanes_on_rabbitmq_tell_what_waits_and_what_waits_for_a_retry(
    node: DevnetServer, tmp_path: Path
) -> None:
    with virtual_host() as broker_url:
        settings = settings_for(
            "redis://127.0.0.1:1/0",
            f"sqlite:///{tmp_path}/x.sqlite3",
            node.url,
            celery_broker_url=broker_url,
        )
        lanes = open_lanes(settings)
        nothing = await lanes.broker_state()
        async with open_publisher(settings, seconds=5.0) as publisher:
            await publisher.send(WARM_USER, ["nobody", CHAIN_ID], queue=Queue.WARMUP)
            await asyncio.to_thread(_put_off, publisher._app, 60.0)
            await asyncio.to_thread(_put_off, publisher._app, 30.0)
            state = await lanes.broker_state()
        lanes.close()

    assert [lane.ready for lane in nothing.lanes] == [0, 0, 0]
    by_lane = {lane.lane: lane for lane in state.lanes}
    assert (by_lane["warmup"].ready, by_lane["invalidation"].delayed) == (1, 2)
    assert state.memory_used is None


def test_the_api_as_a_program_tells_its_lanes(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path
) -> None:
    environment = environment_of(cache_server, node.url, tmp_path)
    with program(environment, tmp_path) as process:
        told = Scrape(httpx.get(f"{address_of(process)}/metrics", timeout=15).text)

    assert told.value("broker_up") == 1
    assert told.has("lane_ready", lane="invalidation")
