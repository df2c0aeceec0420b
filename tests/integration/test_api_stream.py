"""A user's balances as a stream: at once what is known, then every change, as long as he may."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableMapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_app
from cache.warm_ups import Shelf, WarmUps
from devnet.faults import Fault, FaultKind
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from registry.models import Predicate
from supervisor.valkey import EmbeddedServer
from tests.api_support import CHAIN_ID, ETH, KEY, USDC, World, open_world, served
from tests.databases import BakoUser, bytes32
from tests.stream_support import SECONDS, amount_of, reading


@pytest.fixture(scope="module")
def node() -> Iterator[DevnetServer]:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0.0, chain_id=CHAIN_ID)) as server:
        yield server


@dataclass
class Site:
    """A served world and a user with two vaults."""

    world: World
    url: str
    user: BakoUser
    headers: dict[str, str]
    vaults: dict[str, str]

    @property
    def first(self) -> tuple[str, str]:
        return next(iter(self.vaults.items()))

    async def change(self, address: str, amount: int) -> None:
        """Let a vault hold something else, and say so as an indexer does; a read refills."""
        self.world.give(address, {ETH: amount})
        await self.invalidate(address)
        await self.world.get("/user/allocation", self.headers)

    async def invalidate(self, address: str) -> None:
        body = {"predicateAddress": address, "chainId": CHAIN_ID}
        answer = await self.world.internal("/cache/invalidate", body)
        assert answer.status_code == 200, answer.text


@pytest.fixture
async def site(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path, request: Any
) -> AsyncIterator[Site]:
    changes = {
        "stream_heartbeat_seconds": 0.2,
        "stream_session_seconds": 0.2,
        "stream_membership_seconds": 0.2,
        "stream_look_seconds": 0.2,
    } | getattr(request, "param", {})
    database = f"sqlite:///{tmp_path}/bako.sqlite3"
    async with open_world(cache_server.url(), database, node, **changes) as world:
        user = await world.database.add_user()
        vaults = {}
        for amount in (5, 7):
            address = bytes32()
            vault = await world.database.add_predicate(user, predicate_address=address)
            vaults[vault] = address
            world.give(address, {ETH: amount})
        headers = await world.sign_in(user)
        async with served(world) as url:
            yield Site(world, url, user, headers, vaults)


def of(predicate_id: str, amount: int | None, state: str = "fresh") -> Callable[[Any], bool]:
    """Match the balances of a vault."""

    def matches(data: Any) -> bool:
        right = data["predicateId"] == predicate_id and amount_of(data, ETH) == amount
        return right and data["freshness"]["state"] == state

    return matches


async def test_what_is_known_comes_at_once_and_then_each_change(site: Site) -> None:
    await site.world.get("/user/allocation", site.headers)  # both vaults are known now
    vault, address = site.first

    async with reading(site.url, site.headers) as stream:
        snapshot = await stream.until("snapshot")
        told = {data["predicateId"]: amount_of(data, ETH) for data in stream.told("balances")}
        await site.change(address, 6)
        await stream.until("balances", of(vault, 6))

    assert stream.response.headers["content-type"].startswith("text/event-stream")
    assert stream.response.headers["cache-control"] == "no-store, no-transform"
    assert stream.response.headers["x-accel-buffering"] == "no"
    assert stream.seen[0].name == "vaults"
    assert {v["predicateId"] for v in stream.seen[0].data["vaults"]} == set(site.vaults)
    assert snapshot.data == {"vaults": 2, "known": 2}
    assert snapshot.event_id is not None
    assert set(told.values()) == {5, 7}
    assert told.keys() == site.vaults.keys()


async def test_the_documents_path_is_the_same_stream(site: Site) -> None:
    async with reading(site.url, site.headers, path="/api/user/balances/stream") as stream:
        assert (await stream.until("snapshot")).data["vaults"] == 2


async def test_what_nobody_knows_yet_is_fetched_and_comes_when_it_is_known(site: Site) -> None:
    async with reading(site.url, site.headers) as stream:
        first = await stream.until("snapshot")
        async with asyncio.timeout(SECONDS):
            while {d["predicateId"] for d in stream.told("balances")} != set(site.vaults):
                await stream.next()

    assert first.data["known"] == 0
    assert {amount_of(data, ETH) for data in stream.told("balances")} == {5, 7}
    assert {data["freshness"]["state"] for data in stream.told("balances")} == {"fresh"}


async def test_an_outdated_vault_is_told_as_stale_and_in_bakos_words(
    site: Site, node: DevnetServer
) -> None:
    await site.world.get("/user/allocation", site.headers)
    vault, address = site.first
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
        node.devnet.faults.add(Fault(FaultKind.SERVER_ERROR))
        try:
            await site.invalidate(address)
            event = await stream.until("balances", of(vault, 5, "stale"))
        finally:
            node.devnet.faults.clear()
        await stream.until("balances", of(vault, 5, "fresh"))  # looked at again, and fetched

    assert event.data["freshness"]["reason"] == "invalidated"
    assert event.data["asOf"].endswith("Z")
    assert stream.told("[BALANCE_OUTDATED_USER]") == [
        {
            "sessionId": site.user.user_id,
            "to": "[UI]",
            "type": "[BALANCE_OUTDATED_USER]",
            "workspaceId": None,
            "outdatedPredicateIds": [vault],
        }
    ]
    assert stream.told("[BALANCE_OUTDATED_PREDICATE]") == [
        {
            "sessionId": site.user.user_id,
            "to": "[UI]",
            "type": "[BALANCE_OUTDATED_PREDICATE]",
            "predicateId": vault,
            "workspaceId": None,
        }
    ]


async def test_a_reader_who_comes_again_gets_what_he_missed_and_nothing_else(site: Site) -> None:
    await site.world.get("/user/allocation", site.headers)
    vault, address = site.first
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
    await site.change(address, 6)

    async with reading(site.url, site.headers, after=stream.last_id) as again:
        await again.until("snapshot")

    assert again.told("resumed") == [{"after": stream.last_id}]
    assert again.told("reset") == []
    assert [(d["predicateId"], amount_of(d, ETH)) for d in again.told("balances")] == [(vault, 6)]


async def test_another_process_resumes_from_the_stream_in_redis(site: Site) -> None:
    await site.world.get("/user/allocation", site.headers)
    vault, address = site.first
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
    await site.change(address, 6)

    async with (
        served(site.world) as elsewhere,
        reading(elsewhere, site.headers, after=stream.last_id) as again,
    ):
        await again.until("snapshot")

    assert again.told("resumed") == [{"after": stream.last_id}]
    assert [(d["predicateId"], amount_of(d, ETH)) for d in again.told("balances")] == [(vault, 6)]


async def test_an_id_that_is_too_old_or_of_another_stream_gets_everything_anew(site: Site) -> None:
    await site.world.get("/user/allocation", site.headers)
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
    position, _, subject = str(stream.last_id).partition(".")
    later = f"{int(position.partition('-')[0]) + 10**9}-0"

    for after in (f"1-0.{subject}", f"{position}.{'0' * 12}", f"{later}.{subject}"):
        async with reading(site.url, site.headers, after=after) as again:
            await again.until("snapshot")

        assert len(again.told("reset")) == 1, after
        assert again.told("resumed") == []
        assert len(again.told("balances")) == 2


@pytest.mark.parametrize(
    "last_id", ["x", "1-1", "1-1.zzzzzzzzzzzz", "-1-1." + "0" * 12, "9" * 30 + "-1." + "0" * 12]
)
async def test_an_id_that_no_stream_ever_said_is_refused(site: Site, last_id: str) -> None:
    answer = await site.world.get(
        "/user/balances/stream", site.headers | {"Last-Event-ID": last_id}
    )

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_stream_of_nobody_is_refused(site: Site) -> None:
    for headers in ({}, site.headers | {"Authorization": "another"}):
        answer = await site.world.get("/user/balances/stream", headers)
        assert answer.status_code == 401


async def test_a_stream_without_news_says_that_it_lives_and_moves_the_id_on(site: Site) -> None:
    await site.world.get("/user/allocation", site.headers)
    address = bytes32()
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
        before = str(stream.last_id)
        await site.invalidate(address)

        async with asyncio.timeout(SECONDS):
            while str(stream.last_id) == before:
                await stream.next()

    assert stream.heartbeats > 0
    assert [e for e in stream.seen if address in json.dumps(e.data)] == []


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
        statement = Predicate.__table__.update().where(Predicate.id == vault)  # type: ignore[attr-defined]
        await connection.execute(
            statement.values(deleted_at=datetime.now(UTC).replace(tzinfo=None))
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


async def test_a_value_that_bako_wrote_is_told_though_no_change_was_announced(site: Site) -> None:
    _, address = site.first
    await site.world.get("/user/allocation", site.headers)
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
        stored = json.loads(await _text(site.world, f"balance:{address}:{CHAIN_ID}"))
        written = {
            "balances": [{"assetId": USDC, "amount": "0x2a"}],
            "timestamp": stored["timestamp"] + 1_000,
            "chainId": CHAIN_ID,
            "networkUrl": site.world.network_url,
        }
        await site.world.redis.set(f"balance:{address}:{CHAIN_ID}", json.dumps(written), ex=600)

        await stream.until("balances", lambda data: amount_of(data, USDC) == 42)


async def _text(world: World, key: str) -> str:
    value = await world.redis.get(key)
    assert isinstance(value, bytes)
    return value.decode()


@pytest.mark.parametrize("site", [{"streams_per_user": 2}], indirect=True)
async def test_a_user_has_so_many_streams_and_a_closed_one_counts_no_more(site: Site) -> None:
    async with reading(site.url, site.headers) as first:
        await first.until("snapshot")
        async with reading(site.url, site.headers) as second, httpx.AsyncClient() as client:
            await second.until("snapshot")
            refused = await client.get(f"{site.url}/user/balances/stream", headers=site.headers)

        async with asyncio.timeout(SECONDS):
            while not await _opens(site):
                await first.next()

    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "5"
    assert refused.headers["content-type"] == "application/problem+json"


async def _opens(site: Site) -> bool:
    async with (
        httpx.AsyncClient(timeout=SECONDS) as client,
        client.stream("GET", f"{site.url}/user/balances/stream", headers=site.headers) as response,
    ):
        return response.status_code == 200


@pytest.mark.parametrize("site", [{"streams_per_process": 1}], indirect=True)
async def test_a_process_has_so_many_streams(site: Site) -> None:
    async with reading(site.url, site.headers) as first, httpx.AsyncClient() as client:
        await first.until("snapshot")
        refused = await client.get(f"{site.url}/user/balances/stream", headers=site.headers)

    assert refused.status_code == 503
    assert "retry-after" in refused.headers


@pytest.mark.parametrize("site", [{"stream_life_seconds": 0.5}], indirect=True)
async def test_a_stream_ends_at_the_end_of_its_life_and_is_resumed(site: Site) -> None:
    await site.world.get("/user/allocation", site.headers)
    async with reading(site.url, site.headers) as stream:
        await stream.to_the_end()
    async with reading(site.url, site.headers, after=stream.last_id) as again:
        await again.until("resumed")

    assert stream.told("end") == [{"reason": "life"}]


@pytest.mark.parametrize("site", [{"enable_balance_cache": False}], indirect=True)
async def test_without_the_cache_there_is_no_stream(site: Site) -> None:
    answer = await site.world.get("/user/balances/stream", site.headers)

    assert answer.status_code == 503


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


async def test_the_progress_of_a_warm_up_is_read_and_streamed(site: Site) -> None:
    answer = await site.world.get("/user/warm-up", site.headers)
    assert answer.json() == {
        "chainId": CHAIN_ID,
        "state": "none",
        "total": 0,
        "done": 0,
        "failed": 0,
    }
    warm_ups = WarmUps(site.world.redis, 5)
    shelf = Shelf(CHAIN_ID, later=False, request_size=10)
    addresses = list(site.vaults.values())
    async with reading(site.url, site.headers) as stream:
        await stream.until("snapshot")
        await warm_ups.note_login(site.user.user_id, {CHAIN_ID: addresses})
        await warm_ups.offer(shelf, "login", addresses)
        running = await stream.until("warm-up")
        taken, _ = await warm_ups.take(shelf, "part")
        await warm_ups.settle(shelf, "part", done=taken[:1], given_up=taken[1:], again=())
        finished = await stream.until("warm-up", lambda data: data["state"] == "finished")
    answer = await site.world.get("/api/user/warm-up", site.headers)

    assert running.data["state"] == "running"
    assert running.data["total"] == 2
    assert (finished.data["done"], finished.data["failed"]) == (1, 1)
    assert answer.json() == finished.data
    assert answer.headers["cache-control"] == "no-store"


async def test_a_slow_reader_gets_the_newest_state_and_holds_no_more_memory(site: Site) -> None:
    await site.world.get("/user/allocation", site.headers)
    vault, address = site.first
    application = create_app(site.world.settings, site.world.publisher)
    reader = _SlowReader()
    async with application.router.lifespan_context(application):
        serving = asyncio.create_task(
            application(_scope(site.headers), reader.receive, reader.send)
        )
        await reader.has_read(b"event: snapshot")
        reader.may_go_on.clear()
        for amount in range(20, 30):
            await site.change(address, amount)
        open_streams = application.state.parts.streams
        async with reading(site.url, site.headers) as other:  # he has been told of the last one
            await other.until("balances", of(vault, 29))
        held = len(open_streams)
        before = len(reader.read)
        reader.may_go_on.set()
        await reader.has_read(b'"amount":"0x1d"')
        reader.gone.set()
        async with asyncio.timeout(SECONDS):
            await serving
        assert len(open_streams) == 0

    told = reader.read[before:].count(b'"predicateId":"%b","address"' % vault.encode())
    assert held == 1
    assert told <= 3  # what was on its way when he stopped, and the newest; not each of ten


class _SlowReader:
    """A client at the other end of the application who stops reading when told so."""

    def __init__(self) -> None:
        self.read = b""
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.gone = asyncio.Event()
        self._came = asyncio.Condition()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        await self.may_go_on.wait()
        async with self._came:
            self.read += message.get("body", b"")
            self._came.notify_all()

    async def has_read(self, text: bytes) -> None:
        async with asyncio.timeout(SECONDS), self._came:
            await self._came.wait_for(lambda: text in self.read)


def _scope(headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/user/balances/stream",
        "raw_path": b"",
        "root_path": "",
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }


async def test_when_redis_is_away_readers_are_told_and_when_it_is_back_what_changed(
    node: DevnetServer, tmp_path: Path
) -> None:
    server = EmbeddedServer.start()
    database = f"sqlite:///{tmp_path}/bako.sqlite3"
    quick = {"stream_look_seconds": 0.2, "stream_heartbeat_seconds": 0.2}
    async with (
        AsyncExitStack() as servers,
        open_world(server.url(), database, node, **quick) as world,
    ):
        user, address = await world.database.add_user(), bytes32()
        vault = await world.database.add_predicate(user, predicate_address=address)
        await world.database.add_token(user)
        headers = {"Authorization": user.token, "signeraddress": user.address}
        world.give(address, {ETH: 5})
        await world.get("/user/allocation", headers)
        async with served(world) as url, reading(url, headers) as stream:
            await stream.until("balances", of(vault, 5))
            server.stop()
            await stream.until("live", lambda data: data["live"] is False)
            world.give(address, {ETH: 6})
            servers.callback(EmbeddedServer.start(port=server.port).stop)
            async with asyncio.timeout(SECONDS):  # in either order
                while {"live": True} not in stream.told("live") or not any(
                    of(vault, 6)(data) for data in stream.told("balances")
                ):
                    await stream.next()
