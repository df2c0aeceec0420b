"""The internal routes: Bako's names and shapes, and the document's names for the same."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.security import APIKeyHeader
from pydantic import Field

from api.context import NoQuery, Parts, PartsDependency
from api.internal import actions
from api.internal.actions import Invalidation
from api.internal.bodies import (
    ClearBody,
    Done,
    InvalidateBody,
    Message,
    TransactionEvent,
    WarmUpBody,
    milliseconds,
)
from api.problems import ProblemError, documented
from domain.values import parse_address

_MOST_KEYS = 100
_STARTED = time.monotonic()


async def _admit(
    request: Request,
    parts: PartsDependency,
    _: Annotated[str | None, Depends(APIKeyHeader(name="X-API-Key", auto_error=False))],
) -> None:
    await parts.guard.admit(request)


router = APIRouter(
    prefix="/internal",
    tags=["internal"],
    dependencies=[Depends(_admit)],
    responses=documented(400, 401, 403, 404, 413, 422, 429, 503),
)
open_router = APIRouter(prefix="/internal", tags=["internal"])

_NoQuery = Annotated[NoQuery, Query()]


class KeysQuery(NoQuery):
    """Which keys; only those of balances are shown, sessions never."""

    pattern: str = Field(
        default="balance:*", max_length=300, pattern=r"^(balance:|tx:refresh:|bc:)[ -~]*$"
    )


@router.post("/cache/invalidate")
@router.post("/invalidate-balance", summary="The document's name for it")
async def invalidate(body: InvalidateBody, parts: PartsDependency, _: _NoQuery) -> Done:
    """Declare balances wrong; they are fetched again by the workers."""
    if body.block_height is not None and body.chain_id is None:
        raise ProblemError(422, "Invalid request", "A blockHeight needs a chainId.")
    addresses = await actions.named_addresses(parts, body)
    wanted = Invalidation(addresses, body.chain_id, body.block_height, body.transaction_id)
    # Fetching everything again at once would be a storm: what is read is fetched.
    task_id = await (_invalidate_all(parts, wanted) if body.all else _invalidate(parts, wanted))
    return _invalidated(body, len(addresses), task_id)


@router.post("/invalidate-all", summary="The document's name for invalidating everything")
async def invalidate_all(parts: PartsDependency, _: _NoQuery) -> Done:
    """Declare everything wrong; it is fetched again as it is read."""
    return await invalidate(InvalidateBody(all=True), parts, NoQuery())


@router.post("/cache/clear")
async def clear(body: ClearBody, parts: PartsDependency, _: _NoQuery) -> Done:
    """Forget balances, fresh and last known."""
    if body.all == (body.predicate_address is not None):
        raise ProblemError(422, "Invalid request", "Give one of predicateAddress, all.")
    if body.chain_id is not None:
        parts.runtime.settings.network(body.chain_id)
    runtime = parts.runtime
    addresses = (
        await runtime.administration.addresses()
        if body.predicate_address is None
        else [parse_address(body.predicate_address)]
    )
    cleared = await runtime.cache.clear(addresses, body.chain_id) if addresses else 0
    return Done(data={"clearedCount": cleared, "message": f"Cleared {cleared} keys"})


@router.post("/clear-all-cache", summary="The document's name for forgetting everything")
async def clear_all(parts: PartsDependency, _: _NoQuery) -> Done:
    """Forget all balances, fresh and last known."""
    return await clear(ClearBody(all=True), parts, NoQuery())


@router.post("/cache/warmup")
@router.post("/warmup-user", summary="The document's name for it")
async def warm_up(body: WarmUpBody, parts: PartsDependency, _: _NoQuery) -> Done:
    """Have a user's vaults warmed by the workers."""
    total, task_id = await actions.warm_up(parts, body)
    message = f"Warm-up of {total} predicates enqueued"
    return Done(data={"total": total, "warmedUp": 0, "message": message, "taskId": task_id})


@router.get("/cache/stats")
async def stats(parts: PartsDependency, _: _NoQuery) -> Done:
    """Counters and settings."""
    return Done(data=await _stats(parts))


@router.get("/cache-stats", summary="The document's name for it")
async def flat_stats(parts: PartsDependency, _: _NoQuery) -> dict[str, Any]:
    """Counters and settings, without an envelope."""
    data = await _stats(parts)
    return {"type": "redis", "ttl": data["config"]["ttl"], **data, "timestamp": milliseconds()}


@router.get("/cache/keys")
async def keys(parts: PartsDependency, query: Annotated[KeysQuery, Query()]) -> Done:
    """Keys that match, the first hundred."""
    shown, count = await parts.runtime.administration.keys(query.pattern, _MOST_KEYS)
    return Done(
        data={
            "pattern": query.pattern,
            "count": count,
            "keys": shown,
            "truncated": count > len(shown),
        }
    )


@router.post("/cache/metrics/reset")
async def reset_metrics(parts: PartsDependency, _: _NoQuery) -> Message:
    """Set the counters to zero."""
    await parts.runtime.cache.reset_stats()
    return Message(message="Cache metrics reset")


@router.post("/events/transaction", status_code=202)
async def transaction(event: TransactionEvent, parts: PartsDependency, _: _NoQuery) -> Done:
    """Take a confirmed transaction: every vault that it touches is invalidated at its height."""
    chain_id = event.where()
    if chain_id is None:
        raise ProblemError(422, "Invalid request", "chainId (or network.chainId) is missing.")
    if not (any(event.named()) or any(event.touched())):
        raise ProblemError(422, "Invalid request", "The transaction names no address.")
    parts.runtime.settings.network(chain_id)
    vaults, ignored = await actions.touched_vaults(parts, event)
    wanted = Invalidation(vaults, chain_id, event.block_height, event.transaction_id)
    task_id = await actions.invalidate(parts, wanted)
    return Done(
        data={
            "transactionId": event.transaction_id,
            "chainId": chain_id,
            "blockHeight": event.block_height,
            "invalidated": list(vaults),
            "ignored": list(ignored),
            "invalidatedCount": len(vaults),
            "taskId": task_id,
        }
    )


@open_router.get("/health")
async def internal_health() -> dict[str, Any]:
    """Tell that the process lives, in Bako's shape; needs no key."""
    return {"success": True, "status": "healthy", "timestamp": milliseconds()}


async def _invalidate(parts: Parts, wanted: Invalidation) -> str | None:
    return await actions.invalidate(parts, wanted)


async def _invalidate_all(parts: Parts, wanted: Invalidation) -> str | None:
    if wanted.chain_id is not None:
        parts.runtime.settings.network(wanted.chain_id)
    portion = 500
    for start in range(0, len(wanted.addresses), portion):
        some = wanted.addresses[start : start + portion]
        await parts.runtime.cache.invalidate(some, wanted.chain_id, wanted.block_height)
    return None


def _invalidated(body: InvalidateBody, count: int, task_id: str | None) -> Done:
    where = "all chains" if body.chain_id is None else f"chainId {body.chain_id}"
    what = f"Invalidated {count} predicates for {where}"
    return Done(data={"invalidatedCount": count, "message": what, "taskId": task_id})


async def _stats(parts: Parts) -> dict[str, Any]:
    settings = parts.runtime.settings
    found = await parts.runtime.cache.stats()
    return {
        "hits": found.get("hits", 0),
        "misses": found.get("misses", 0),
        "stale": found.get("stale", 0),
        "hitRate": found.get("hit_rate", 0.0),
        "invalidations": found.get("invalidations", 0),
        "warmups": found.get("warmups", 0),
        "warmupPredicates": found.get("warmup_predicates", 0),
        "errors": found.get("poisoned", 0),
        "published": found.get("published", 0),
        "uptimeSeconds": int(time.monotonic() - _STARTED),
        "totalKeys": found.get("total_keys", 0),
        "byChain": found.get("by_chain", {}),
        "config": {
            "enabled": settings.enable_balance_cache,
            "ttl": settings.balance_cache_ttl,
            "invalidationFlagTtl": settings.balance_invalidation_ttl,
        },
    }
