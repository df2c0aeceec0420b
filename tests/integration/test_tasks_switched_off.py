"""What the switches turn off, on a real worker and each broker: it says so, and asks no node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from domain.values import Fresh, Lane, Stale
from runtime.assembly import Runtime
from tasks.names import INVALIDATE, REFILL, REFRESH_DUE, WARM_PREDICATES, WARM_USER, Queue
from tasks.publisher import CeleryPublisher
from tests.broker_support import Server
from tests.worker_support import Site, eventually, working_site

SWITCHES = ("WARMUP_ENABLED", "ENABLE_BALANCE_CACHE")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, task_broker: Server) -> Iterator[Site]:
    first = {"WARMUP_ENABLED": "false", "ENABLE_BALANCE_CACHE": "true"}
    with working_site(tmp_path_factory.mktemp("switched-off"), task_broker.url, **first) as site:
        yield site


@pytest.fixture
async def runtime(site: Site) -> AsyncIterator[Runtime]:
    """What readers work with: with the cache switched on."""
    runtime = await Runtime.open(site.settings)
    yield runtime
    await runtime.close()


def switch(site: Site, off: str | None) -> int:
    """Let the worker have that switched off and nothing else; return how much was logged so far."""
    wanted = {name: "false" if name == off else "true" for name in SWITCHES}
    if any(site.environment[name] != value for name, value in wanted.items()):
        site.restart_worker(**wanted)
    return len(site.logged("task.switched_off"))


async def said(site: Site, since: int, count: int) -> list[tuple[str, str]]:
    """Wait for so many lines and return which task each is of, and by what it is switched off."""

    async def all_said() -> bool:
        return len(site.logged("task.switched_off")) >= since + count

    await eventually(all_said, f"{count} tasks say that they are switched off")
    lines = site.logged("task.switched_off")[since:]
    return sorted((str(line["task"]), str(line["by"])) for line in lines)


@pytest.mark.parametrize("off", SWITCHES)
async def test_a_login_warms_nothing_when_it_is_switched_off(
    site: Site, publisher: CeleryPublisher, off: str
) -> None:
    since, fetched = switch(site, off), site.fetches(0)
    await publisher.send(WARM_USER, [site.user.user_id, 0], queue=Queue.WARMUP)
    await publisher.send(WARM_PREDICATES, [list(site.user.addresses), 0], queue=Queue.WARMUP)

    by = f"{off}=false"
    assert await said(site, since, 2) == [(WARM_PREDICATES, by), (WARM_USER, by)]
    assert site.fetches(0) == fetched


async def test_nothing_is_refreshed_or_refilled_when_the_cache_is_switched_off(
    site: Site, publisher: CeleryPublisher
) -> None:
    since, fetched = switch(site, "ENABLE_BALANCE_CACHE"), site.fetches(0)
    await publisher.send(REFRESH_DUE, [0], queue=Queue.REFRESH)
    await publisher.send(REFILL, [list(site.user.addresses), 0, 5], queue=Queue.INVALIDATION)

    by = "ENABLE_BALANCE_CACHE=false"
    assert await said(site, since, 2) == [(REFILL, by), (REFRESH_DUE, by)]
    assert site.fetches(0) == fetched


async def test_switching_the_cache_on_again_never_serves_what_was_invalidated_meanwhile(
    site: Site, runtime: Runtime, publisher: CeleryPublisher
) -> None:
    vault = site.user.addresses[0]
    since = switch(site, "ENABLE_BALANCE_CACHE")
    await runtime.reader(0).refill([vault], lane=Lane.READ)
    assert isinstance((await runtime.cache.read(0, [vault]))[vault], Fresh)
    fetched = site.fetches(0)
    height = site.nodes[0].chain.produce_blocks(1)
    await publisher.send(INVALIDATE, [[vault], 0, height], queue=Queue.INVALIDATION)
    assert await said(site, since, 1) == [(INVALIDATE, "ENABLE_BALANCE_CACHE=false")]
    switch(site, None)

    assert isinstance((await runtime.cache.read(0, [vault]))[vault], Stale)
    assert site.fetches(0) == fetched
    served = (await runtime.reader(0).read_many([vault]))[vault]
    assert isinstance(served.answer, Fresh)
    assert served.answer.stored.snapshot.height >= height
