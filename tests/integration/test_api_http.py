"""What holds of every answer: clear errors, kept by nobody on the way, no load by looking."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.api_support import (
    World,
    on_both_databases,
    started,
)


@on_both_databases
@pytest.mark.parametrize(
    "path",
    [
        "/user/allocation?limit=0",
        "/user/allocation?limit=51",
        "/user/allocation?limit=x",
        "/user/allocation?limits=3",
        "/predicate/not-a-uuid/allocation",
        "/predicate/reserved-coins/'%20OR%201=1--",
        "/predicate/reserved-coins/%00",
    ],
)
async def test_bad_input_is_a_clear_problem(world: World, path: str) -> None:
    headers = await world.sign_in(await world.database.add_user())

    answer = await world.get(path, headers)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().keys() == {"type", "title", "status", "detail"}


@on_both_databases
async def test_health_needs_nothing(world: World) -> None:
    assert (await world.get("/health")).json() == {"status": "alive"}
    assert (await world.get("/ready")).json()["status"] == "ready"
    assert (await world.get("/internal/health")).json()["status"] == "healthy"


async def test_fifty_simultaneous_reads_of_a_cold_vault_share_the_node_request(
    world: World,
) -> None:
    user = await world.database.add_user()
    predicate_id = await world.database.add_predicate(user)
    headers = await world.sign_in(user)
    await world.get("/ready")
    before = len(world.node.devnet.log.records())

    answers = await asyncio.gather(
        *(world.get(f"/predicate/reserved-coins/{predicate_id}", headers) for _ in range(50))
    )

    assert {a.status_code for a in answers} == {200}
    assert len(world.node.devnet.log.records()) - before == 1


async def test_unknown_paths_and_methods_are_problems_too(world: World) -> None:
    wrong: list[httpx.Response] = [
        await world.get("/nothing"),
        await world.client.post("/user/allocation"),
    ]
    assert [a.status_code for a in wrong] == [404, 405]
    assert {a.headers["content-type"] for a in wrong} == {"application/problem+json"}


async def test_readiness_is_no_way_to_burden_the_node(world: World) -> None:
    before = len(world.node.devnet.log.records())

    answers = await asyncio.gather(*(world.get("/ready") for _ in range(30)))

    assert {answer.status_code for answer in answers} == {200}
    assert len(world.node.devnet.log.records()) == before + 1


async def test_web_pages_of_allowed_origins_may_read_and_only_read(world: World) -> None:
    asking = {"Origin": "https://page.example", "Access-Control-Request-Headers": "signeraddress"}
    narrow = world.settings.model_copy(update={"cors_allowed_origins": ("https://other.example",)})

    async def preflight(
        client: httpx.AsyncClient, path: str, method: str
    ) -> tuple[int, str | None]:
        answer = await client.options(
            path, headers=asking | {"Access-Control-Request-Method": method}
        )
        return answer.status_code, answer.headers.get("access-control-allow-origin")

    read = await preflight(world.client, "/user/allocation", "GET")
    act = await preflight(world.client, "/internal/cache/invalidate", "POST")
    refused = await world.get("/user/allocation", asking)
    async with started(narrow, world.publisher) as client:
        elsewhere = await preflight(client, "/user/allocation", "GET")

    assert read == (200, "*")
    assert act[0] == 400
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")
    assert "access-control-allow-credentials" not in refused.headers
    assert elsewhere == (400, None)


async def test_a_balance_is_kept_by_its_users_browser_alone_and_a_problem_by_nobody(
    world: World,
) -> None:
    user = await world.database.add_user()
    known = await world.get("/user/allocation", await world.sign_in(user))
    refused = await world.get("/user/allocation")

    assert (known.status_code, refused.status_code) == (200, 401)
    assert known.headers["cache-control"] == "private, no-cache"
    assert refused.headers["cache-control"] == "no-store"
    assert "etag" not in refused.headers
