"""Warm-up at login: all predicates of a user; logins that come together share node requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog

from cache.recent import RecentKind
from cache.warm_ups import Shelf, Tickets
from domain.errors import UnknownUserError
from domain.values import Address
from tasks import operations
from tasks.declare import declare_task
from tasks.delivery import current_delivery
from tasks.later import Follow
from tasks.names import (
    WARM_PREDICATES,
    WARM_USER,
    WARM_USERS,
    WARMUP_EXPIRES_SECONDS,
    Queue,
)
from tasks.parts import Parts
from tasks.reporting import log_report
from tasks.switches import is_switched_off

_FETCH_SECONDS = 30
"""Shorter than the life of a part."""

BEHIND_AT_ONCE = 2
"""In one process: as much as it can plan meanwhile. More of them would only make the node's other
callers wait, a confirmed transaction among them."""

_behind: set[asyncio.Task[None]] = set()
"""Fetches of this process that no message stands for."""

_log = structlog.get_logger("tasks")


def _switched_off(parts: Parts, task: str) -> bool:
    settings = parts.settings
    return is_switched_off(
        task,
        {
            "ENABLE_BALANCE_CACHE=false": settings.enable_balance_cache,
            "WARMUP_ENABLED=false": settings.warmup_enabled,
        },
    )


@declare_task(
    WARM_USER,
    queue=Queue.WARMUP,
    deadline_seconds=15,
    expires_seconds=WARMUP_EXPIRES_SECONDS,
    retries=5,
)
async def warm_user(parts: Parts, user_id: str, chain_id: int | None = None) -> Sequence[Follow]:
    """Let a user's predicates wait for their warm-up; no chain id means every network.

    Those of all logins are collected, so that a subtask fetches a full request of them.
    """
    if _switched_off(parts, WARM_USER):
        return ()
    user_id = operations.parse_user_id(user_id)
    wanted = await parts.registry.addresses_of_users([user_id])
    if user_id not in wanted:
        raise UnknownUserError(user_id)
    return await _planned(parts, wanted, chain_id)


@declare_task(
    WARM_USERS,
    queue=Queue.WARMUP,
    deadline_seconds=15,
    expires_seconds=WARMUP_EXPIRES_SECONDS,
    retries=5,
)
async def warm_users(
    parts: Parts, user_ids: Sequence[str], chain_id: int | None = None
) -> Sequence[Follow]:
    """Do for several users what `balances.warm_user` does for one.

    A user that there is not is logged and does not hold the others up.
    """
    if _switched_off(parts, WARM_USERS):
        return ()
    asked = operations.parse_user_ids(user_ids)
    wanted = await parts.registry.addresses_of_users(asked)
    for user_id in asked:
        if user_id not in wanted:
            _log.error("warm_up.unknown_user", user_id=user_id)
    return await _planned(parts, wanted, chain_id) if wanted else ()


async def _planned(
    parts: Parts, wanted: Mapping[str, Sequence[Address]], chain_id: int | None
) -> Sequence[Follow]:
    """Let the predicates of these users wait, and remember what each of them asked for."""
    if chain_id is None:
        chain_ids: tuple[int, ...] = parts.settings.chain_ids
    else:
        chain_ids = (parts.settings.network(operations.parse_chain_id(chain_id)).chain_id,)
    plans = await operations.plan_warm_up(
        parts.cache,
        wanted=wanted.values(),
        chain_ids=chain_ids,
        at_once=parts.settings.warmup_max_predicates,
        skip_fresh=parts.settings.warmup_skip_cached,
    )
    follows: list[Follow] = []
    for plan in plans:
        for addresses, later in ((plan.now, False), (plan.later, True)):
            if addresses:
                follows += await _offered(parts, addresses, plan.chain_id, later=later)
    # Not before they wait: nobody may find a warm-up finished that has not begun.
    await parts.warm_ups.note_logins(wanted, chain_ids)
    parts.measures.warm_ups_planned(len(wanted))
    _log.info(
        "warm_up.planned",
        user_ids=list(wanted),
        predicates=sum(len(plan.now) + len(plan.later) for plan in plans),
        subtasks=len(follows),
    )
    return follows


@declare_task(
    WARM_PREDICATES,
    queue=Queue.WARMUP,
    deadline_seconds=_FETCH_SECONDS,
    expires_seconds=WARMUP_EXPIRES_SECONDS,
    retries=5,
)
async def warm_predicates(
    parts: Parts, addresses: Sequence[str], chain_id: int, later: bool = False
) -> Sequence[Follow]:
    """Fetch what waits on one network: one node request, as many predicates as it carries.

    The addresses join those that wait; without any, it takes what others have let wait. What is
    `later` than a login may have at once goes behind other calls to the node, too.
    """
    if _switched_off(parts, WARM_PREDICATES):
        return ()
    wanted = operations.parse_addresses(addresses) if addresses else ()
    shelf = _shelf(parts, operations.parse_chain_id(chain_id), later=later)
    follows = list(await _offered(parts, wanted, shelf.chain_id, later=later)) if wanted else []
    token = current_delivery().message_id
    taken, tickets = await parts.warm_ups.take(shelf, token)
    if taken:
        tickets = await _fetch(parts, shelf, token, taken)
    return [*follows, *_subtasks(shelf, tickets)]


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


async def _offered(
    parts: Parts, addresses: Sequence[Address], chain_id: int, *, later: bool
) -> Sequence[Follow]:
    shelf = _shelf(parts, chain_id, later=later)
    tickets = await parts.warm_ups.offer(shelf, current_delivery().message_id, addresses)
    if tickets.full and not later and len(_behind) < BEHIND_AT_ONCE:
        begun = parts.background.start(_fetch_behind(parts, shelf))
        _behind.add(begun)
        begun.add_done_callback(_behind.discard)
    return _subtasks(shelf, tickets)


async def announced_again(parts: Parts, chain_id: int) -> Sequence[Follow]:
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
            async with asyncio.timeout(_FETCH_SECONDS):
                token, taken = await parts.warm_ups.take_full(shelf)
                if not taken:
                    return
                _log.info("warm_up.began_behind", chain_id=shelf.chain_id, predicates=len(taken))
                full = (await _fetch(parts, shelf, token, taken)).full
    except TimeoutError:  # its vaults come back
        _log.warning("warm_up.too_late_behind", chain_id=shelf.chain_id)


def _shelf(parts: Parts, chain_id: int, *, later: bool) -> Shelf:
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
