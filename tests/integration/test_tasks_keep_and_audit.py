"""The auditor and the keeper as tasks, on a real worker and each broker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from devnet.chain import AccountBalance
from devnet.options import BASE_ASSET_ID
from domain.ports import Source
from domain.values import Fresh, Stale, StaleReason
from runtime.assembly import Runtime
from tasks.names import AUDIT, KEEP, PRUNE, Queue
from tasks.publisher import open_publisher
from tests.broker_support import Server
from tests.worker_support import Site, eventually, working_site

CHAIN = 9889


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, task_broker: Server) -> Iterator[Site]:
    times = {"AUDIT_GRACE_SECONDS": "0.5", "HISTORY_DAYS": "0"}
    with working_site(tmp_path_factory.mktemp("audit"), task_broker.url, **times) as site:
        chain = site.nodes[CHAIN].chain
        chain.produce_blocks(3)
        chain.set_balances(AccountBalance(v, BASE_ASSET_ID, 7) for v in site.user.addresses)
        yield site


@pytest.fixture
async def runtime(site: Site) -> AsyncIterator[Runtime]:
    runtime = await Runtime.open(site.settings)
    await runtime.reader(CHAIN).read_many(site.user.addresses)
    yield runtime
    await runtime.close()


async def send(site: Site, task: str, *arguments: object) -> None:
    async with open_publisher(site.settings, seconds=5.0) as publisher:
        await publisher.send(task, list(arguments), queue=Queue.REFRESH, expires=60)


async def amount(runtime: Runtime, vault: str) -> int | None:
    answer = (await runtime.cache.read(CHAIN, [vault]))[vault]
    if not isinstance(answer, Fresh):
        return None
    return sum(balance.amount for balance in answer.stored.snapshot.balances)


async def test_an_injected_corruption_is_found_and_healed_in_one_round(
    site: Site, runtime: Runtime
) -> None:
    """A round of so few vaults is one task; nobody reads the vault, so the walk must meet it."""
    vault = site.user.addresses[4]
    async with Redis.from_url(site.settings.redis_url) as redis:
        key = f"balance:{vault}:{CHAIN}"
        value = json.loads(await redis.get(key) or b"{}")
        value["balances"][0]["amount"] = "0x3e8"
        await redis.set(key, json.dumps(value), keepttl=True)
    assert await amount(runtime, vault) == 1_000

    await send(site, AUDIT, CHAIN)

    async def is_right() -> bool:
        return await amount(runtime, vault) == 7

    await eventually(is_right, "the corrupted vault is right again")
    [told] = site.logged("audit.violation")
    assert told["address"] == vault
    assert (told["cached"], told["node"]) == ({BASE_ASSET_ID: 1_000}, {BASE_ASSET_ID: 7})

    async def counted() -> bool:
        """The worker sends what it has counted now and then, not with each vault."""
        counts = await runtime.cache.stats()
        found = [counts.get(name, 0) for name in ("audit_contradicted", "audit_outdated")]
        return found in ([1, 0], [0, 1])

    await eventually(counted, "the violation is counted, as one of the two kinds")


async def test_what_was_published_outlives_redis_and_only_the_newest_stays(
    site: Site, runtime: Runtime
) -> None:
    vaults = site.user.addresses

    async def kept() -> bool:
        return len(await runtime.durable.last_known(CHAIN, vaults)) == len(vaults)

    await send(site, KEEP)
    await eventually(kept, "the last known balances are in the database")
    height = site.nodes[CHAIN].chain.transfer(vaults[0], vaults[1], BASE_ASSET_ID, 2).block_height
    await runtime.cache.invalidate(vaults[:2], CHAIN, height)
    await runtime.reader(CHAIN).read_many(vaults[:2])
    await send(site, KEEP)

    async def has_two_points() -> bool:
        return len(await runtime.durable.history(CHAIN, vaults[0])) == 2

    await eventually(has_two_points, "the change is a point of its own")
    await send(site, PRUNE)

    async def has_one_point() -> bool:
        return len(await runtime.durable.history(CHAIN, vaults[0])) == 1

    await eventually(has_one_point, "what has changed since is forgotten at once (HISTORY_DAYS=0)")
    await runtime.cache.clear(vaults, CHAIN)  # as a Redis that has lost them
    served = (await runtime.reader(CHAIN).read_many([vaults[0]]))[vaults[0]]
    assert isinstance(served.answer, Stale)
    assert (served.answer.reason, served.source) == (StaleReason.RESTORED, Source.DATABASE)
    assert served.answer.stored.snapshot.balances[0].amount == 5
