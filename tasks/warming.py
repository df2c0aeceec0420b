"""Vaults that wait for their warm-up: offered by logins, fetched a node request at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import structlog

from cache.recent import RecentKind
from cache.warm_ups import Shelf, Tickets
from domain.values import Address, ChainId
from tasks import operations
from tasks.delivery import current_delivery
from tasks.later import Follow
from tasks.names import WARM_PREDICATES, WARMUP_EXPIRES_SECONDS, Queue
from tasks.parts import Parts
from tasks.reporting import log_report

FETCH_SECONDS = 30
"""Shorter than the life of a part."""

BEHIND_AT_ONCE = 2
"""In one process: as much as it can plan meanwhile. More of them would only make the node's other
callers wait, a confirmed transaction among them."""

_behind: set[asyncio.Task[None]] = set()
"""Fetches of this process that no message stands for."""

_log = structlog.get_logger("tasks")


async def fetched(parts: Parts, chain_id: ChainId, *, later: bool) -> Sequence[Follow]:
    """Fetch what waits on one network: one node request, as many predicates as it carries."""
    shelf, token = _shelf(parts, chain_id, later=later), current_delivery().message_id
    taken, tickets = await parts.warm_ups.take(shelf, token)
    if taken:
        tickets = await _fetch(parts, shelf, token, taken)
    return _subtasks(shelf, tickets)


async def _fetch(parts: Parts, shelf: Shelf, token: str, addresses: Sequence[Address]) -> Tickets:
    """Fetch a part and say what became of each predicate in it."""
    begun = time.monotonic()
    report = await operations.warm(
        parts.reader(shelf.chain_id),
        parts.cache,
        addresses,
        lane=_queue(later=shelf.later).lane,
        skip_fresh=parts.settings.warmup_skip_cached,
    )
    log_report("warm_up.fetched", shelf.chain_id, report)
    await parts.tally.add(warmup_predicates=len(report.done))
    parts.measures.warmed(shelf.chain_id, report.counts(), time.monotonic() - begun)
    left = len(report.remaining) + len(report.given_up)
    await parts.recent.add(
        RecentKind.WARMED,
        shelf.chain_id,
        report.done,
        detail=f"{left} not fetched" if left else "a login's vaults",
        seconds=time.monotonic() - begun,
    )
    return await parts.warm_ups.settle(
        shelf,
        token,
        done=(*report.done, *report.already),
        given_up=report.given_up,
        again=report.remaining,
    )


async def offered(
    parts: Parts, addresses: Sequence[Address], chain_id: ChainId, *, later: bool
) -> Sequence[Follow]:
    """Let vaults wait; return the subtasks that will fetch them.

    When they fill a request, one is begun at once, behind what the process plans.
    """
    shelf = _shelf(parts, chain_id, later=later)
    tickets = await parts.warm_ups.offer(shelf, current_delivery().message_id, addresses)
    if tickets.full and not later and len(_behind) < BEHIND_AT_ONCE:
        begun = parts.background.start(_fetch_behind(parts, shelf))
        _behind.add(begun)
        begun.add_done_callback(_behind.discard)
    return _subtasks(shelf, tickets)


async def announced_again(parts: Parts, chain_id: ChainId) -> Sequence[Follow]:
    """Return the subtasks that are missing for the vaults that wait on a network.

    A broker that dies may take a message with it that was put off; its ticket expires, and nobody
    would look until the next login.
    """
    if not parts.settings.warmup_enabled:
        return ()
    follows: list[Follow] = []
    for later in (False, True):
        shelf = _shelf(parts, chain_id, later=later)
        tickets = await parts.warm_ups.offer(shelf, current_delivery().message_id, ())
        follows += _subtasks(shelf, tickets)
    return follows


async def _fetch_behind(parts: Parts, shelf: Shelf) -> None:
    """Fetch whole requests while logins are still being planned.

    The subtasks stand behind all logins in the lane. They are published all the same: they fetch
    what fills no request, and what this process has taken should it die.
    """
    full = True
    try:
        while full:
            async with asyncio.timeout(FETCH_SECONDS):
                token, taken = await parts.warm_ups.take_full(shelf)
                if not taken:
                    return
                _log.info("warm_up.began_behind", chain_id=shelf.chain_id, predicates=len(taken))
                full = (await _fetch(parts, shelf, token, taken)).full
    except TimeoutError:  # its vaults come back
        _log.warning("warm_up.too_late_behind", chain_id=shelf.chain_id)


def _shelf(parts: Parts, chain_id: ChainId, *, later: bool) -> Shelf:
    return Shelf(chain_id, later, parts.vaults_per_request(chain_id))


def _subtasks(shelf: Shelf, tickets: Tickets) -> Sequence[Follow]:
    subtask = Follow(
        WARM_PREDICATES,
        ([], shelf.chain_id, shelf.later),
        _queue(later=shelf.later),
        WARMUP_EXPIRES_SECONDS,
        tickets.delay_seconds,
    )
    return [subtask] * tickets.count


def _queue(*, later: bool) -> Queue:
    return Queue.REFRESH if later else Queue.WARMUP
