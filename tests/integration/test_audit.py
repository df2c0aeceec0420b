"""The auditor: what is called fresh and is not true is found, told and healed; nothing else is."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from cache.sampling import AuditSample
from devnet.options import BASE_ASSET_ID
from domain.values import Address, Fresh
from provider.comparing import Difference
from supervisor.valkey import EmbeddedServer
from tasks.audit import refills_left
from tasks.auditing import AuditReport, audit
from tasks.later import Follow
from tasks.names import REFILL, Queue
from tests.follow_support import CHAIN_ID, Desk, warm_desk


@pytest.fixture
async def at(tmp_path: Path, module_server: EmbeddedServer) -> AsyncIterator[Desk]:
    async with warm_desk(tmp_path, module_server) as at:
        yield at


async def corrupt(at: Desk, vault: Address, **changes: Any) -> None:
    """Change a stored value behind everybody's back, its life as it is."""
    key = f"balance:{vault}:{CHAIN_ID}"
    value = json.loads(await at.redis.get(key) or b"{}") | changes
    await at.redis.set(key, json.dumps(value), keepttl=True)


def rows(amount: int) -> list[dict[str, str]]:
    return [{"assetId": BASE_ASSET_ID, "amount": hex(amount)}]


async def audited(at: Desk, *vaults: Address, grace_seconds: float = 0.0) -> AuditReport:
    return await audit(
        vaults or at.vaults,
        at.runtime.comparer(CHAIN_ID),
        at.runtime.cache,
        at.runtime.reader(CHAIN_ID),
        grace_seconds=grace_seconds,
    )


async def test_a_cache_that_is_right_is_left_alone_and_costs_one_request(at: Desk) -> None:
    asked = at.node.devnet.log.counts()["graphql"]

    report = await audited(at)

    assert report.counts()["audit_samples"] == report.agreed == len(at.vaults)
    assert report.violations == {}
    assert at.node.devnet.log.counts()["graphql"] == asked + 1


@pytest.mark.parametrize(
    "wrong", [rows(11), [], [*rows(10), {"assetId": "0x" + "5" * 64, "amount": "0x1"}]]
)
async def test_a_corrupted_value_is_found_told_with_both_sides_and_healed(
    at: Desk, wrong: list[dict[str, str]]
) -> None:
    vault = at.vaults[3]
    await corrupt(at, vault, balances=wrong)

    with capture_logs() as logs:
        report = await audited(at)

    [told] = [entry for entry in logs if entry["event"] == "audit.violation"]
    assert told["address"] == vault
    assert told["cached"] != told["node"]
    assert set(report.violations) == {vault}
    assert report.agreed == len(at.vaults) - 1
    assert await at.fresh(vault)
    assert await at.amount(vault) == 10


async def test_what_could_not_be_healed_at_once_is_left_to_a_message_of_its_own(at: Desk) -> None:
    vault = at.vaults[3]
    await corrupt(at, vault, balances=rows(11))
    report = await audited(at)
    healed = await refills_left(report, at.runtime.cache, CHAIN_ID)
    await at.runtime.cache.invalidate([vault], CHAIN_ID)  # as after a refill that failed
    height = report.violations[vault].told.height

    assert healed == ()
    assert await refills_left(report, at.runtime.cache, CHAIN_ID) == (
        Follow(REFILL, ([vault], CHAIN_ID, height), Queue.INVALIDATION),
    )


async def test_at_one_height_it_is_a_contradiction_and_later_it_is_outdated(at: Desk) -> None:
    here, later = at.vaults[:2]
    await at.runtime.cache.invalidate([here], CHAIN_ID, at.node.chain.height)
    await at.warm(here)  # both sides name one height now
    await corrupt(at, here, balances=rows(12))
    assert (await audited(at, here)).violations[here].difference is Difference.CONTRADICTED

    at.pay(later, 5)  # nobody announces it
    assert (await audited(at, later)).violations[later].difference is Difference.OUTDATED
    assert await at.amount(later) == 15


async def test_a_change_that_the_cache_comes_to_know_in_time_is_late_and_no_violation(
    at: Desk,
) -> None:
    vault = at.vaults[0]
    height = at.pay(vault, 5)

    auditing = asyncio.ensure_future(audited(at, grace_seconds=20))
    await at.runtime.reader(CHAIN_ID).read_many([at.vaults[1]])
    while not auditing.done():
        await at.runtime.cache.invalidate([vault], CHAIN_ID, height)
        await asyncio.wait({auditing}, timeout=0.1)
    report = await auditing

    assert report.violations == {}
    assert report.late + report.unknown == 1


async def test_a_node_that_is_down_or_behind_accuses_nobody(at: Desk) -> None:
    vault = at.vaults[0]
    await corrupt(at, vault, height=90, heightUpper=90)

    behind = await audited(at, vault)
    at.node.stop()
    down = await audited(at)

    assert (behind.violations, behind.unknown) == ({}, 1)
    assert (down.violations, down.unknown) == ({}, len(at.vaults))
    assert isinstance(await at.answer(vault), Fresh)


async def test_a_value_that_a_foreign_writer_left_is_compared_too(at: Desk) -> None:
    vault = at.vaults[0]
    value = {
        "balances": rows(99),
        "timestamp": int(1000 * (await at.redis.time())[0]),
        "chainId": CHAIN_ID,
    }
    await at.redis.set(f"balance:{vault}:{CHAIN_ID}", json.dumps(value), ex=600)
    assert await at.fresh(vault)

    report = await audited(at, vault)

    assert report.violations[vault].stored.foreign
    assert await at.amount(vault) == 10


async def test_who_is_read_more_is_drawn_more_and_the_walk_meets_everybody(at: Desk) -> None:
    busy, quiet = at.vaults[0], at.vaults[1]
    for _ in range(30):
        await at.runtime.cache.mark_read(CHAIN_ID, [busy])
    await at.runtime.cache.mark_read(CHAIN_ID, [quiet])
    sample = AuditSample(at.redis, chance=Random(5))

    drawn = Counter([(await sample.by_traffic(CHAIN_ID, 1))[0] for _ in range(60)])
    met = await sample.in_turn(CHAIN_ID, 1_000)

    assert drawn[busy] > 3 * drawn[quiet]
    assert set(met) == set(at.vaults)


async def test_the_walk_goes_on_where_the_last_one_ended(at: Desk) -> None:
    many = [f"0x{number:064x}" for number in range(1, 2_001)]
    for vault in many:
        await at.redis.set(f"balance:{vault}:{CHAIN_ID}", "{}")
    sample = AuditSample(at.redis)

    met: set[Address] = set()
    for _ in range(40):
        met.update(await sample.in_turn(CHAIN_ID, 300))

    assert met >= {*many, *at.vaults}
