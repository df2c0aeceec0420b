"""Warm-up at login: all predicates of a user; logins that come together share node requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from domain.errors import UnknownUserError
from domain.values import Address, ChainId
from tasks import operations
from tasks.declare import declare_task
from tasks.later import Follow
from tasks.names import (
    WARM_PREDICATES,
    WARM_USER,
    WARM_USERS,
    WARMUP_EXPIRES_SECONDS,
    Queue,
)
from tasks.parts import Parts
from tasks.switches import is_switched_off
from tasks.warming import FETCH_SECONDS, fetched, offered

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
    chain_ids = _meant(parts, chain_id)
    wanted = await parts.registry.addresses_of_users([user_id])
    if user_id not in wanted:
        raise UnknownUserError(user_id)
    return await _planned(parts, wanted, chain_ids)


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
    asked, chain_ids = operations.parse_user_ids(user_ids), _meant(parts, chain_id)
    wanted = await parts.registry.addresses_of_users(asked)
    for user_id in asked:
        if user_id not in wanted:
            _log.error("warm_up.unknown_user", user_id=user_id)
    return await _planned(parts, wanted, chain_ids) if wanted else ()


def _meant(parts: Parts, chain_id: int | None) -> tuple[ChainId, ...]:
    if chain_id is None:
        return parts.settings.chain_ids
    return (parts.settings.network(operations.parse_chain_id(chain_id)).chain_id,)


async def _planned(
    parts: Parts, wanted: Mapping[str, Sequence[Address]], chain_ids: Sequence[ChainId]
) -> Sequence[Follow]:
    """Let the predicates of these users wait, and remember what each of them asked for."""
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
                follows += await offered(parts, addresses, plan.chain_id, later=later)
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
    deadline_seconds=FETCH_SECONDS,
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
    meant = operations.parse_chain_id(chain_id)
    follows = await offered(parts, wanted, meant, later=later) if wanted else ()
    return [*follows, *await fetched(parts, meant, later=later)]
