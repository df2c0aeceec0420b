"""A stream goes on as long as its user may read it, and tells him of his own vaults alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from registry.models import Predicate
from tests.api_support import CHAIN_ID, ETH, KEY, World
from tests.databases import bytes32
from tests.stream_site import Site, of
from tests.stream_support import reading


async def test_a_stream_of_nobody_is_refused(site: Site) -> None:
    for headers in ({}, site.headers | {"Authorization": "another"}):
        answer = await site.world.get("/user/balances/stream", headers)
        assert answer.status_code == 401


async def test_it_ends_when_the_user_signs_out(site: Site) -> None:
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
        await site.world.redis.delete(f"session-{site.user.token}")
        end = await stream.until("end")

        assert await stream.to_the_end() == []
    assert end.data == {"reason": "session"}


async def test_it_ends_when_the_session_is_over(site: Site) -> None:
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
        over = datetime.now(UTC) - timedelta(seconds=1)
        await site.world.sign_in(site.user, expired_at=over.isoformat())

        assert (await stream.until("end")).data == {"reason": "session"}


async def test_it_ends_when_the_user_selects_another_network(site: Site) -> None:
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
        await site.world.sign_in(site.user, network={"url": "https://x", "chainId": 0})

        assert (await stream.until("end")).data == {"reason": "session_changed"}


async def test_a_session_that_only_the_table_holds_keeps_its_stream(site: Site) -> None:
    await site.world.database.add_token(site.user)
    await site.world.redis.delete(f"session-{site.user.token}")

    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
        for _ in range(10):  # several looks at the session
            await stream.next()
        await site.world.sign_in(
            site.user,
            network={"url": "https://beta-5.fuel.network/v1/graphql", "chainId": CHAIN_ID},
        )

    assert stream.told("end") == []


async def test_a_new_vault_appears_and_one_that_is_taken_away_is_told_no_more(site: Site) -> None:
    await site.world.get("/user/allocation", site.headers)
    vault, address = site.first
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
        added = bytes32()
        site.world.give(added, {ETH: 9})
        new = await site.world.database.add_predicate(site.user, predicate_address=added)
        await stream.until("vaults", lambda data: len(data["vaults"]) == 3)
        await stream.until("balances", of(new, 9))
        await _delete(site.world, vault)
        await stream.until(
            "vaults", lambda data: vault not in {v["predicateId"] for v in data["vaults"]}
        )
        told = len(stream.seen)
        await site.change(address, 8)
        await site.change(added, 10)
        await stream.until("balances", of(new, 10))

    assert vault not in {e.data["predicateId"] for e in stream.seen[told:] if e.name == "balances"}


async def _delete(world: World, vault: str) -> None:
    async with world.database.engine.begin() as connection:
        now = datetime.now(UTC).replace(tzinfo=None)
        await connection.execute(
            update(Predicate).where(Predicate.id == vault).values(deleted_at=now)
        )


async def test_a_user_is_told_of_his_own_vaults_alone(site: Site) -> None:
    stranger = await site.world.database.add_user()
    address = bytes32()
    vault = await site.world.database.add_predicate(stranger, predicate_address=address)
    strange_headers = await site.world.sign_in(stranger)
    async with (
        reading(site.url, site.headers) as stream,
        reading(site.url, strange_headers) as other,
    ):
        await stream.until("snapshot")
        await other.until("snapshot")
        site.world.give(address, {ETH: 3})
        await site.invalidate(address)
        await site.world.get("/user/allocation", strange_headers)
        await other.until("balances", of(vault, 3))
        await site.change(site.first[1], 11)
        await stream.until("balances", of(site.first[0], 11))

    assert [e for e in stream.seen if address in json.dumps(e.data)] == []
    assert [e for e in other.seen if site.first[1] in json.dumps(e.data)] == []


async def test_a_service_reads_a_users_stream_for_its_bridge(site: Site) -> None:
    path = f"/user/balances/stream?chainId={CHAIN_ID}&userId={site.user.user_id}"
    _, address = site.first
    async with reading(site.url, {"X-API-Key": KEY}, path=path) as stream:
        await stream.until("snapshot")
        await site.invalidate(address)

        told = await stream.until("[BALANCE_OUTDATED_USER]")
    assert told.data["sessionId"] == site.user.user_id


async def test_a_service_that_names_no_user_is_refused(site: Site) -> None:
    for path in ("/user/balances/stream", "/user/warm-up"):
        answer = await site.world.get(f"{path}?chainId={CHAIN_ID}", {"X-API-Key": KEY})
        assert answer.status_code == 422
