"""What the read paths answer while a service is away, or the cache is switched off."""

from __future__ import annotations

import asyncio

from devnet.server import DevnetServer
from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer
from tests.api_support import (
    CHAIN_ID,
    ETH,
    KEY,
    World,
    on_both_databases,
    open_world,
    started,
)
from tests.cache_support import hung
from tests.databases import bytes32
from tests.metrics_support import Scrape
from tests.provider_support import until


async def test_a_node_that_is_down_gives_the_last_known_marked_stale_or_503(
    world: World, cache_server: EmbeddedServer
) -> None:
    user, address = await world.database.add_user(), bytes32()
    known = await world.database.add_predicate(user, predicate_address=address)
    unknown = await world.database.add_predicate(user)
    world.give(address, {ETH: 10**9})
    headers = await world.sign_in(user)
    assert (await world.get(f"/predicate/reserved-coins/{known}", headers)).status_code == 200
    await world.internal("/cache/invalidate", {"predicateAddress": address})
    nowhere = world.settings.fuel_networks[0].__class__(
        CHAIN_ID, "mainnet", (f"http://user:geheim@127.0.0.1:{free_port()}/v1/graphql",)
    )
    settings = world.settings.model_copy(
        update={"fuel_networks": (nowhere,), "read_wait_seconds": 0.5}
    )

    async with started(settings, world.publisher) as client:
        stale = await client.get(f"/predicate/reserved-coins/{known}", headers=headers)
        missing = await client.get(f"/predicate/reserved-coins/{unknown}", headers=headers)
        ready = await client.get("/ready")

    assert stale.status_code == 200
    assert stale.json()["freshness"]["state"] == "stale"
    assert stale.json()["freshness"]["reason"] in {"invalidated", "node_down"}
    assert stale.json()["totalBalance"] == [{"assetId": ETH, "amount": hex(10**9)}]
    assert missing.status_code == 503
    assert ready.status_code == 503
    assert list(ready.json()["reasons"]) == ["node:mainnet"]
    assert "geheim" not in ready.text + stale.text + missing.text


@on_both_databases
async def test_without_redis_the_node_answers_and_the_answer_says_so(world: World) -> None:
    user, address = await world.database.add_user(), bytes32()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    await world.database.add_token(user)
    world.give(address, {ETH: 10**9})
    settings = world.settings.model_copy(
        update={"redis_url": f"redis://:geheim@127.0.0.1:{free_port()}/0"}
    )
    headers = {"Authorization": user.token, "signeraddress": user.address}
    # The table says mainnet by its public address; the chain id decides.

    async with started(settings, world.publisher) as client:
        answer = await client.get(f"/predicate/reserved-coins/{predicate_id}", headers=headers)
        ready = await client.get("/ready")
        nobody = await client.get("/user/allocation", headers=headers | {"Authorization": "0x1"})

    assert answer.status_code == 200
    assert answer.json()["totalBalance"] == [{"assetId": ETH, "amount": hex(10**9)}]
    assert answer.json()["freshness"]["source"] == "node"
    assert ready.status_code == 503
    assert list(ready.json()["reasons"]) == ["redis"]
    assert "geheim" not in ready.text
    assert nobody.status_code == 401


async def test_a_redis_that_hangs_delays_one_question_and_is_used_again_when_it_answers(
    database_url: str, node: DevnetServer
) -> None:
    server = await asyncio.to_thread(EmbeddedServer.start)
    try:
        async with open_world(server.url(), database_url, node, read_wait_seconds=10.0) as world:
            user, address = await world.database.add_user(), bytes32()
            vault = await world.database.add_predicate(user, predicate_address=address)
            await world.database.add_token(user)
            world.give(address, {ETH: 5})
            path, headers = f"/predicate/reserved-coins/{vault}", await world.sign_in(user)
            warm = [await world.get(path, headers) for _ in range(2)]

            with hung(server):
                world.give(address, {ETH: 6})
                first = await world.get(path, headers)
                crowd = await asyncio.gather(*(world.get(path, headers) for _ in range(40)))
                event = {"chainId": CHAIN_ID, "blockHeight": 7, "predicateAddress": address}
                taken = await world.internal("/events/transaction", event)
                ready = await world.get("/ready")
                during = Scrape((await world.get("/metrics")).text)

            async def is_served_by_the_cache() -> bool:
                freshness = (await world.get(path, headers)).json()["freshness"]
                return (freshness["state"], freshness["source"]) == ("fresh", "cache")

            await until(is_served_by_the_cache, seconds=20)
            after = Scrape((await world.get("/metrics")).text)
            well = await world.get("/ready")
    finally:
        server.stop()

    assert [answer.json()["freshness"]["source"] for answer in warm] == ["node", "cache"]
    answers = [first, *crowd]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["freshness"]["source"] for answer in answers} == {"node"}
    assert first.json()["totalBalance"] == [{"assetId": ETH, "amount": "0x6"}]
    assert taken.status_code == 202
    assert ("balances.invalidate", [[address], CHAIN_ID, 7, None]) in [
        (task.name, task.args) for task in world.publisher.sent
    ], "the task carries what could not be recorded"
    assert (ready.status_code, list(ready.json()["reasons"])) == (503, ["redis"])
    assert well.status_code == 200
    assert (during.value("cache_resting"), after.value("cache_resting")) == (1, 0)


async def test_without_a_database_nobody_is_let_in_and_no_password_is_told(world: World) -> None:
    settings = world.settings.model_copy(
        update={"database_url": f"postgresql://user:geheim@127.0.0.1:{free_port()}/bako"}
    )
    headers = {"Authorization": "0x1", "signeraddress": "0x2"}

    async with started(settings, world.publisher) as client:
        answer = await client.get("/user/allocation", headers=headers)
        ready = await client.get("/ready")

    assert answer.status_code == 503
    assert list(ready.json()["reasons"]) == ["database"]
    assert "geheim" not in answer.text + ready.text


async def test_switched_off_every_read_goes_to_the_node_and_back_on_needs_no_flush(
    world: World,
) -> None:
    user, address = await world.database.add_user(), bytes32()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    world.give(address, {ETH: 5})
    headers = await world.sign_in(user)
    path = f"/predicate/reserved-coins/{predicate_id}"
    off = world.settings.model_copy(update={"enable_balance_cache": False})

    async with started(off, world.publisher) as client:
        answers = [await client.get(path, headers=headers) for _ in range(2)]
        assert not await world.redis.exists(f"balance:{address}:{CHAIN_ID}")
        invalidated = await client.post(
            "/internal/cache/invalidate",
            json={"predicateAddress": address},
            headers={"X-API-Key": KEY},
        )
    on = [(await world.get(path, headers)).json()["freshness"]["source"] for _ in range(2)]

    assert [a.json()["freshness"]["source"] for a in answers] == ["node", "node"]
    assert invalidated.json()["success"] is True
    assert world.publisher.sent == []
    assert on == ["node", "cache"]
