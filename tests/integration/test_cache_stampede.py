"""A thousand readers of a cold vault in ten processes cost the node one request.

Real processes, a real Redis, a real HTTP node that takes its time. They are forked from one that
has imported everything, so that ten cost little more than one.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier

import pytest

from cache.connection import connect
from devnet.chain import AccountBalance
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.networks import Network
from domain.values import Fresh
from provider.cached import CachedProvider
from provider.node import NodeProvider
from supervisor.valkey import EmbeddedServer
from tests.cache_support import empty_client, redis_cache
from tests.fake_node import address, asset

VAULT = address(1)
PROCESSES = 10
READERS = 100
WAIT_SECONDS = 60.0


@pytest.fixture
def node() -> Iterator[DevnetServer]:
    """Answers late enough for everybody to come meanwhile."""
    with DevnetServer(DevnetOptions(port=0, block_seconds=0, latency_ms=500)) as running:
        running.chain.set_balances([AccountBalance(VAULT, asset(1), 7)])
        running.chain.produce_blocks(5)
        yield running


def read_in_a_process(
    redis_url: str,
    node_url: str,
    all_ready: Barrier,
    told: multiprocessing.SimpleQueue[Counter[str]],
) -> None:
    told.put(asyncio.run(_read(redis_url, node_url, all_ready)))


async def _read(redis_url: str, node_url: str, all_ready: Barrier) -> Counter[str]:
    """Let a hundred readers ask at once; return what they were told."""
    network = Network(0, "devnet", (node_url,))
    provider = NodeProvider(network)
    cache = redis_cache(connect(redis_url))
    reader = CachedProvider(network, provider, cache, read_wait_seconds=WAIT_SECONDS)
    await provider.verify()
    await asyncio.to_thread(all_ready.wait, WAIT_SECONDS)
    answers = await asyncio.gather(*(reader.read_many([VAULT]) for _ in range(READERS)))
    await reader.close()
    await provider.close()
    await cache.aclose()
    return Counter(_words(answer[VAULT].answer) for answer in answers)


def _words(answer: object) -> str:
    if not isinstance(answer, Fresh):
        return repr(answer)
    return f"fresh {[balance.amount for balance in answer.stored.snapshot.balances]}"


async def test_a_thousand_readers_in_ten_processes_cost_one_request(
    cache_server: EmbeddedServer, node: DevnetServer
) -> None:
    await (await empty_client(cache_server)).aclose()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    all_ready = context.Barrier(PROCESSES)
    told: multiprocessing.SimpleQueue[Counter[str]] = context.SimpleQueue()
    given = (cache_server.url(), node.url, all_ready, told)
    processes = [context.Process(target=read_in_a_process, args=given) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        await asyncio.to_thread(process.join, WAIT_SECONDS)
        assert process.exitcode == 0

    answers: Counter[str] = sum((told.get() for _ in processes), Counter())

    assert answers == {"fresh [7]": PROCESSES * READERS}
    asked = [record for record in node.devnet.log.records() if record.owners]
    assert len(asked) == 1
