"""Orders for all predicates, prices by beat, and the statistics of it all; on each broker."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from domain.values import Address, Fresh, Lane, Missing, Stale
from runtime.assembly import Runtime
from supervisor.processes import spawn, stop
from tasks.names import CLEAR_ALL, INVALIDATE_ALL, Queue
from tasks.publisher import CeleryPublisher
from tests.api_support import ETH, KEY, started
from tests.broker_support import Server
from tests.worker_support import CHAIN_IDS, Site, eventually, fresh, working_site

FILLING = 15_000
"""Other keys, so that a walk has several steps."""


@pytest.fixture(scope="module")
def price_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prices") / "prices.json"


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, price_file: Path, task_broker: Server
) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("everything")
    with working_site(
        directory,
        task_broker.url,
        PRICE_SOURCE=str(price_file),
        PRICE_REFRESH_SECONDS="0.5",
        # Nothing but prices is to come from beat.
        REFRESH_INTERVAL_SECONDS="3600",
        FOLLOW_ENABLED="false",
    ) as site:
        yield site


@pytest.fixture
async def runtime(site: Site) -> AsyncIterator[Runtime]:
    runtime = await Runtime.open(site.settings)
    await runtime.cache.clear(site.user.addresses)
    yield runtime
    await runtime.close()


@pytest.fixture
async def service(site: Site, publisher: CeleryPublisher) -> AsyncIterator[httpx.AsyncClient]:
    """A service's client of the API that hands its tasks to the worker."""
    settings = site.settings.model_copy(update={"internal_api_key": SecretStr(KEY)})
    async with started(settings, publisher) as client:
        client.headers["X-API-Key"] = KEY
        yield client


async def _fill(site: Site, runtime: Runtime) -> None:
    for chain_id in CHAIN_IDS:
        await runtime.reader(chain_id).refill(site.user.addresses, lane=Lane.READ)
        assert len(await fresh(runtime, chain_id, site.user.addresses)) == 10
    async with Redis.from_url(site.settings.redis_url) as redis:
        await redis.mset({f"filling:{number}": "" for number in range(FILLING)})


async def _kinds(runtime: Runtime, chain_id: int, addresses: tuple[Address, ...]) -> set[type]:
    answers = await runtime.cache.read(chain_id, addresses)
    return {type(answer) for answer in answers.values()}


def _steps(site: Site, task: str, chain_id: int) -> list[dict[str, object]]:
    logged = site.logged("everything.step")
    return [step for step in logged if (step["task"], step["chain_id"]) == (task, chain_id)]


async def test_everything_is_invalidated_in_steps_on_every_network_and_stays_known(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    await _fill(site, runtime)
    requests = site.requests(9889)
    await publisher.send(INVALIDATE_ALL, [], queue=Queue.INVALIDATION)

    async def walked() -> bool:
        walks = [_steps(site, INVALIDATE_ALL, chain_id) for chain_id in CHAIN_IDS]
        return all(steps and steps[-1]["place"] == 0 for steps in walks)

    await eventually(walked, "both networks are walked to their end")
    for chain_id in CHAIN_IDS:
        assert await _kinds(runtime, chain_id, site.user.addresses) == {Stale}
        assert len(_steps(site, INVALIDATE_ALL, chain_id)) > 1
    assert site.requests(9889) == requests


async def test_clearing_one_network_forgets_the_last_known_there_and_nothing_elsewhere(
    site: Site, runtime: Runtime, service: httpx.AsyncClient
) -> None:
    await _fill(site, runtime)
    answer = await service.post("/internal/cache/clear", json={"all": True, "chainId": 9889})
    assert answer.json()["data"]["taskId"]

    async def cleared() -> bool:
        steps = _steps(site, CLEAR_ALL, 9889)
        return bool(steps) and steps[-1]["place"] == 0

    await eventually(cleared, "the network is walked to its end")
    assert await _kinds(runtime, 9889, site.user.addresses) == {Missing}
    assert await _kinds(runtime, 0, site.user.addresses) == {Fresh}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([77], "chain id 77"),
        (["0"], "must be a whole number"),
        ([0, -1], "place"),
        ([0, "0"], "place"),
        ([0, 2**64], "place"),
    ],
)
async def test_an_order_for_everything_with_bad_arguments_is_refused(
    site: Site, publisher: CeleryPublisher, arguments: list[object], reason: str
) -> None:
    refused = len(site.logged("task.refused"))
    await publisher.send(CLEAR_ALL, arguments, queue=Queue.INVALIDATION)

    async def was_refused() -> bool:
        return len(site.logged("task.refused")) > refused

    await eventually(was_refused, "refused")
    assert reason in str(site.logged("task.refused")[-1]["reason"])


async def test_statistics_tell_what_workers_and_readers_did(
    site: Site, runtime: Runtime, service: httpx.AsyncClient
) -> None:
    user_id, (first, *_) = site.user.user_id, site.user.addresses

    async def stats() -> dict[str, Any]:
        found: dict[str, Any] = (await service.get("/internal/cache/stats")).json()["data"]
        return found

    await service.post("/internal/cache/metrics/reset")
    await service.post("/internal/cache/warmup", json={"userId": user_id, "chainId": 9889})

    async def warmed() -> bool:
        return bool((await stats())["warmupPredicates"] == 10)

    await eventually(warmed, "all vaults are warmed and counted")
    after_warm_up = await stats()
    path = f"/user/allocation?chainId=9889&userId={user_id}"
    await service.get(path)
    after_read = await stats()
    await service.post("/internal/cache/invalidate", json={"addresses": [first], "chainId": 9889})

    async def refilled() -> bool:
        answer = (await runtime.cache.read(9889, [first], counted=False))[first]
        return isinstance(answer, Fresh)

    await eventually(refilled, "the worker has refilled it")
    async with Redis.from_url(site.settings.redis_url) as redis:
        await redis.set(f"balance:{first}:9889", "{", ex=60)
    await service.get(path)
    at_last = await stats()

    names = ("warmups", "hits", "misses", "invalidations", "errors")
    assert [after_warm_up[name] for name in names] == [1, 0, 0, 0, 0]
    assert [after_read[name] for name in names] == [1, 10, 0, 0, 0]
    assert [at_last[name] for name in names] == [1, 19, 1, 1, 1]
    assert (after_read["hitRate"], at_last["hitRate"]) == (100.0, 95.0)
    assert at_last["warmupPredicates"] == 10


async def test_beat_has_prices_fetched_again_and_again_through_a_failure(
    site: Site, runtime: Runtime, price_file: Path, tmp_path: Path
) -> None:
    price_file.write_text("no prices")  # noqa: ASYNC240 - a small local file
    command = ["celery", "-A", "tasks", "beat", "--schedule", str(tmp_path / "schedule")]
    with (tmp_path / "beat.log").open("wb") as log:
        beat = spawn(
            [sys.executable, "-m", *command],
            environment=site.environment,
            output=log,
            death_signal=signal.SIGKILL,
        )
    try:

        async def failed() -> bool:
            return bool(site.logged("task.tried_again_later"))

        await eventually(failed, "a document that is none is tried again")
        assert "PRICE_SOURCE" in str(site.logged("task.tried_again_later")[-1]["reason"])
        for price in ("1234.5", "7"):
            text = json.dumps({"prices": {ETH: price}})
            price_file.write_text(text)  # noqa: ASYNC240 - a small local file

            async def fetched(price: str = price) -> bool:
                return (await runtime.prices.read()).prices == {ETH: price}

            await eventually(fetched, f"the price is {price}")
    finally:
        stop(beat)
