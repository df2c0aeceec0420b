"""The last known balances of every vault survive Redis: written behind, served after a loss."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cache.keys import CHANGES
from domain.errors import RegistryUnavailableError
from domain.ports import Source
from domain.values import Address, Missing, Stale, StaleReason
from registry.snapshots import HistoryPoint
from runtime.assembly import Runtime
from supervisor.valkey import EmbeddedServer
from tasks.keeping import Keeping, KeptReport, keep
from tests.follow_support import CHAIN_ID, Desk, warm_desk
from tests.provider_support import until


@pytest.fixture
async def at(tmp_path: Path, module_server: EmbeddedServer) -> AsyncIterator[Desk]:
    async with warm_desk(tmp_path, module_server) as at:
        yield at


async def kept(runtime: Runtime) -> KeptReport:
    return await keep(
        Keeping(
            cache=runtime.cache,
            changes=runtime.changes,
            keeper=runtime.keeper,
            watched=runtime.watched,
            durable=runtime.durable,
            chain_ids=runtime.settings.chain_ids,
            hot_life_seconds=runtime.settings.hot_life_seconds,
        )
    )


async def points(at: Desk, vault: Address) -> list[HistoryPoint]:
    return list(await at.runtime.durable.history(CHAIN_ID, vault))


async def pay_and_refill(at: Desk, vault: Address, amount: int) -> None:
    height = at.pay(vault, amount)
    await at.runtime.cache.invalidate([vault], CHAIN_ID, height)
    await at.warm(vault)


async def test_what_was_published_is_kept_once_and_each_change_is_a_point(at: Desk) -> None:
    vault = at.vaults[0]
    first, again = await kept(at.runtime), await kept(at.runtime)

    assert (first.written, first.news) == (len(at.vaults), len(at.vaults))
    assert (again.written, again.news) == (0, 0)

    await pay_and_refill(at, vault, 7)
    changed = await kept(at.runtime)

    assert (changed.written, changed.news) == (1, 1)
    assert [sum(b.amount for b in p.balances) for p in await points(at, vault)] == [17, 10]


async def test_after_a_total_loss_readers_are_answered_at_once_and_the_hot_are_due_first(
    at: Desk,
) -> None:
    hot, others = at.vaults[:3], at.vaults[3:]
    await kept(at.runtime)
    await at.redis.delete(f"bc:hot:{CHAIN_ID}", f"bc:due:{CHAIN_ID}")
    await at.runtime.cache.mark_read(CHAIN_ID, hot)
    await kept(at.runtime)
    await at.redis.flushdb()
    at.node.stop()  # nobody can be asked

    served = await at.runtime.reader(CHAIN_ID).read_many(at.vaults, wait_seconds=60)

    for vault in at.vaults:
        answer = served[vault].answer
        assert isinstance(answer, Stale)
        assert answer.reason is StaleReason.RESTORED
        assert served[vault].source is Source.DATABASE
        assert sum(b.amount for b in answer.stored.snapshot.balances) == 10
    report = await kept(at.runtime)
    assert report.brought_back >= len(hot)
    due = await at.runtime.cache.due(CHAIN_ID, len(hot))
    assert set(due) == set(hot)
    assert set(due).isdisjoint(others)


async def test_what_is_restored_is_never_fresh_and_is_replaced_by_the_node(at: Desk) -> None:
    vault = at.vaults[0]
    await kept(at.runtime)
    at.pay(vault, 5)
    await at.redis.flushdb()

    served = (await at.runtime.reader(CHAIN_ID).read_many([vault]))[vault]
    assert isinstance(served.answer, Stale)

    await until(lambda: at.fresh(vault))
    assert await at.amount(vault) == 15


async def test_changes_that_the_stream_has_forgotten_are_met_by_a_walk(at: Desk) -> None:
    await kept(at.runtime)
    for vault in at.vaults:
        await pay_and_refill(at, vault, 3)
    await at.redis.xtrim(CHANGES, maxlen=1, approximate=False)

    await kept(at.runtime)

    for vault in at.vaults:
        assert [sum(b.amount for b in p.balances) for p in await points(at, vault)] == [13, 10]


async def test_a_run_that_fails_midway_is_done_again_by_the_next(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> int:
        raise RegistryUnavailableError("no database")

    with monkeypatch.context() as broken:
        broken.setattr(at.runtime.durable, "write", away)
        with pytest.raises(RegistryUnavailableError):
            await kept(at.runtime)

    assert (await kept(at.runtime)).news == len(at.vaults)


async def test_a_history_ends_with_its_chain(at: Desk) -> None:
    await kept(at.runtime)

    await at.runtime.durable.forget_chain(CHAIN_ID)

    assert await points(at, at.vaults[0]) == []


async def test_what_was_cleared_does_not_come_back_from_the_database(at: Desk) -> None:
    cleared, other = at.vaults[:2]
    await kept(at.runtime)

    assert await at.runtime.clear([cleared], CHAIN_ID) > 0
    at.node.stop()
    served = await at.runtime.reader(CHAIN_ID).read_many([cleared, other], wait_seconds=0.5)

    assert isinstance(served[cleared].answer, Missing)
    assert await points(at, cleared) == []
    assert len(await points(at, other)) == 1


async def test_a_database_that_is_away_holds_up_no_clearing(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise RegistryUnavailableError("no database")

    monkeypatch.setattr(at.runtime.durable, "forget", away)

    assert await at.runtime.clear([at.vaults[0]], CHAIN_ID) > 0
    assert isinstance(await at.answer(at.vaults[0]), Missing)
