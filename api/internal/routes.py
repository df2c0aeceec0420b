"""The internal routes: Bako's names and shapes, and the document's names for the same."""

from __future__ import annotations

import time
from collections.abc import Mapping
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
from domain.ports import PublishOutcome
from domain.values import ChainId, parse_address
from provider.comparing import Difference, nines

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
    """Declare balances wrong; they are fetched again by the workers. All: by the workers too."""
    if body.block_height is not None and (body.chain_id is None or body.all):
        detail = "A blockHeight needs a chainId, and does not go with all."
        raise ProblemError(422, "Invalid request", detail)
    addresses = await actions.named_addresses(parts, body)
    if addresses is None:
        task_id = await actions.for_all(parts, actions.INVALIDATE_ALL_TASK, body.chain_id)
        message = f"Invalidation of all predicates for {_where(body.chain_id)} enqueued"
        return Done(data={"invalidatedCount": 0, "message": message, "taskId": task_id})
    wanted = Invalidation(addresses, body.chain_id, body.block_height, body.transaction_id)
    message = f"Invalidated {len(addresses)} predicates for {_where(body.chain_id)}"
    return Done(
        data={
            "invalidatedCount": len(addresses),
            "message": message,
            "taskId": await actions.invalidate(parts, wanted),
        }
    )


@router.post("/invalidate-all", summary="The document's name for invalidating everything")
async def invalidate_all(parts: PartsDependency, _: _NoQuery) -> Done:
    """Have everything declared wrong; it is fetched again as it is read."""
    return await invalidate(InvalidateBody(all=True), parts, NoQuery())


@router.post("/cache/clear")
async def clear(body: ClearBody, parts: PartsDependency, _: _NoQuery) -> Done:
    """Forget balances, fresh and last known; all of them: by the workers."""
    if body.all == (body.predicate_address is not None):
        raise ProblemError(422, "Invalid request", "Give one of predicateAddress, all.")
    if body.predicate_address is None:
        task_id = await actions.for_all(parts, actions.CLEAR_ALL_TASK, body.chain_id)
        message = f"Clearing of {_where(body.chain_id)} enqueued"
        return Done(data={"clearedCount": 0, "message": message, "taskId": task_id})
    if body.chain_id is not None:
        parts.runtime.settings.network(body.chain_id)
    address = parse_address(body.predicate_address)
    cleared = await actions.clear(parts, address, body.chain_id)
    return Done(data={"clearedCount": cleared, "message": f"Cleared {cleared} keys"})


@router.post("/clear-all-cache", summary="The document's name for forgetting everything")
async def clear_all(parts: PartsDependency, _: _NoQuery) -> Done:
    """Have all balances forgotten, fresh and last known."""
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
    found = await parts.runtime.administration.keys(query.pattern, _MOST_KEYS)
    return Done(
        data={
            "pattern": query.pattern,
            "count": found.count,
            "keys": found.shown,
            "truncated": found.count > len(found.shown) or not found.complete,
        }
    )


@router.post("/cache/metrics/reset")
async def reset_metrics(parts: PartsDependency, _: _NoQuery) -> Message:
    """Set the counters to zero."""
    await parts.runtime.cache.reset_stats()
    return Message(message="Cache metrics reset")


@router.post("/registry/changed")
async def registry_changed(parts: PartsDependency, _: _NoQuery) -> Message:
    """Have every process ask the database again whose vaults there are and what is pending."""
    await parts.runtime.registry_version.changed()
    return Message(message="The registry is asked again")


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


def _where(chain_id: ChainId | None) -> str:
    return "all chains" if chain_id is None else f"chainId {chain_id}"


async def _stats(parts: Parts) -> dict[str, Any]:
    settings = parts.runtime.settings
    found = await parts.runtime.cache.stats()
    return {
        "hits": found.get("hits", 0),
        # Bako knows two kinds of reads; a stale one is among its misses.
        "misses": _added(found, "misses", "stale"),
        "stale": found.get("stale", 0),
        "staleByReason": {
            "expired": _added(found, "stale") - _added(found, "stale_invalidated"),
            "invalidated": _added(found, "stale_invalidated"),
        },
        "hitRate": found.get("hit_rate", 0.0),
        "invalidations": found.get("invalidations", 0),
        "warmups": found.get("warmups", 0),
        "warmupPredicates": found.get("warmup_predicates", 0),
        "errors": _added(found, "poisoned", "unavailable"),
        "published": found.get("published", 0),
        "refusedPublishes": {
            outcome.value: _added(found, outcome.value)
            for outcome in PublishOutcome
            if outcome is not PublishOutcome.PUBLISHED
        },
        "audit": _audit(found),
        "shadow": _shadow(found),
        "uptimeSeconds": int(time.monotonic() - _STARTED),
        "totalKeys": found.get("total_keys", 0),
        "byChain": found.get("by_chain", {}),
        "keysAreLowerBounds": found.get("lower_bounds", False),
        "config": {
            "enabled": settings.enable_balance_cache,
            "ttl": settings.balance_cache_ttl,
            "invalidationFlagTtl": settings.balance_invalidation_ttl,
        },
    }


def _audit(found: Mapping[str, object]) -> dict[str, Any]:
    samples = _added(found, "audit_samples")
    wrong = _added(found, *(f"audit_{kind.value}" for kind in Difference))
    late = _added(found, "audit_late")
    return {
        "samples": samples,
        "late": late,
        "secondsToConsistent": round(_added(found, "audit_late_ms") / 1000 / late, 3)
        if late
        else None,
        **{kind.value: _added(found, f"audit_{kind.value}") for kind in Difference},
        "nines": nines(samples, wrong),
    }


def _shadow(found: Mapping[str, object]) -> dict[str, int]:
    return {
        "samples": _added(found, "shadow_samples"),
        "late": _added(found, "shadow_late"),
        **{kind.value: _added(found, f"shadow_{kind.value}") for kind in Difference},
        "dropped": _added(found, "shadow_dropped"),
        "bakoSamples": _added(found, "shadow_foreign_samples"),
        "bakoDiffers": _added(found, "shadow_foreign_differs"),
    }


def _added(found: Mapping[str, object], *names: str) -> int:
    counts = (found.get(name) for name in names)
    return sum(count for count in counts if isinstance(count, int))
