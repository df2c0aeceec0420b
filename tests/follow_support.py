"""A follower with all that it works with, stepped by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis

from config.settings import Settings
from devnet.options import BASE_ASSET_ID, DevnetOptions
from devnet.server import DevnetServer
from domain.errors import PublishingError
from domain.networks import Network
from domain.values import Address, BlockHeight, Fresh, ReadAnswer
from registry.seed import seed_user
from registry.store import Registry
from runtime.assembly import Runtime
from supervisor.valkey import EmbeddedServer
from tasks.following import Follower, FollowLimits

CHAIN_ID = 0
LIMITS = FollowLimits(interval_seconds=0.02, max_gap=100, restart_seconds=0.05)


class KilledError(Exception):
    """The end of a follower's process."""


@dataclass
class Desk:
    """One chain, its node, its cache; `vaults` are in the registry.

    Attributes:
        refills: what followers asked to have fetched again.
        broker_is_there: without it whoever asks for a refill is refused.
        broker_answers: cleared, whoever asks for a refill waits.
    """

    runtime: Runtime
    redis: Redis
    node: DevnetServer
    vaults: tuple[Address, ...]
    followers: list[Follower] = field(default_factory=list)
    refills: list[tuple[tuple[Address, ...], BlockHeight]] = field(default_factory=list)
    broker_is_there: bool = True
    broker_answers: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.broker_answers.set()

    def follower(self, limits: FollowLimits = LIMITS, *, dies: bool = False) -> Follower:
        """Return one more follower; one who dies does so before he asks for a refill."""

        async def refill(addresses: Sequence[Address], height: BlockHeight) -> None:
            if dies:
                raise KilledError
            await self.broker_answers.wait()
            if not self.broker_is_there:
                raise PublishingError("the broker is away")
            self.refills.append((tuple(addresses), height))

        self.followers.append(Follower(self.runtime.followed(CHAIN_ID), limits, refill))
        return self.followers[-1]

    def pay(self, to: Address, amount: int = 1) -> BlockHeight:
        return self.node.chain.transfer(None, to, BASE_ASSET_ID, amount).block_height

    async def owed(self) -> Mapping[Address, BlockHeight]:
        """Whose refill is noted as owed."""
        return (await self.runtime.followed(CHAIN_ID).cursors.status(CHAIN_ID)).state.owed

    async def warm(self, *addresses: Address) -> None:
        await self.runtime.reader(CHAIN_ID).read_many(addresses)

    async def answer(self, address: Address) -> ReadAnswer:
        return (await self.runtime.cache.read(CHAIN_ID, [address]))[address]

    async def fresh(self, address: Address) -> bool:
        return isinstance(await self.answer(address), Fresh)

    async def fetch_from_a_new_process(self, address: Address) -> int | None:
        """What a process that has never asked a node before is given; None: nothing fresh."""
        runtime = await Runtime.open(self.runtime.settings)
        try:
            served = (await runtime.reader(CHAIN_ID).read_many([address]))[address]
        finally:
            await runtime.close()
        if not isinstance(served.answer, Fresh):
            return None
        return sum(balance.amount for balance in served.answer.stored.snapshot.balances)

    async def amount(self, address: Address) -> int:
        """What a reader is given now, refilled if need be."""
        served = (await self.runtime.reader(CHAIN_ID).read_many([address]))[address]
        assert isinstance(served.answer, Fresh)
        return sum(balance.amount for balance in served.answer.stored.snapshot.balances)


async def settle(follower: Follower, steps: int = 200) -> None:
    """Step until the follower has nothing more to do for the moment."""
    for _ in range(steps):
        if await follower.step() and not follower.walks:
            return
    raise AssertionError("the follower never comes to rest")


async def begun(at: Desk, follower: Follower | None = None) -> Follower:
    """Let a follower begin and come to the tip."""
    found = follower or at.follower()
    assert await found.begin()
    await settle(found)
    return found


@asynccontextmanager
async def desk(
    directory: Path, server: EmbeddedServer, node: DevnetServer | None = None
) -> AsyncIterator[Desk]:
    options = DevnetOptions(port=0, chain_id=CHAIN_ID, block_seconds=0)
    node = node or DevnetServer(options).start()
    network = Network(CHAIN_ID, "testnet", (node.url,))
    settings = Settings(
        REDIS_URL=server.url(),
        database_url=f"sqlite:///{directory / 'registry.sqlite3'}",
        fuel_networks=(network,),
    )
    registry = Registry.open(settings.database_url)
    await registry.create_schema()
    await registry.close()
    user = await seed_user(settings.database_url, network, seed=3)
    runtime = await Runtime.open(settings)
    redis = Redis.from_url(server.url())
    await redis.flushall()
    made = Desk(runtime, redis, node, user.addresses)
    try:
        yield made
    finally:
        for follower in made.followers:
            await follower.end()
        await redis.aclose()
        await runtime.close()
        node.stop()


@asynccontextmanager
async def warm_desk(directory: Path, server: EmbeddedServer) -> AsyncIterator[Desk]:
    """A desk whose vaults hold ten each and are fresh."""
    async with desk(directory, server) as at:
        at.node.chain.produce_blocks(5)
        for vault in at.vaults:
            at.pay(vault, 10)
        await at.warm(*at.vaults)
        yield at
