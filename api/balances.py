"""The read paths: Bako's, and the document's names for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.context import CallerDependency, Parts, PartsDependency
from api.problems import MEDIA_TYPE, Problem
from api.representation import AllocationAnswer, ReservedCoinsAnswer
from api.sessions import Caller
from api.vaults import Vault, allocation_answer, read_vaults, reserved_coins_answer
from registry.records import PredicateRecord

_DEFAULT_LIMIT = 5
_HIGHEST_LIMIT = 50


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of a route's errors."""
    body = {"model": Problem, "content": {MEDIA_TYPE: {}}}
    return dict.fromkeys(statuses, body)


router = APIRouter(tags=["balances"], responses=problems(401, 404, 422, 503))


class NoQuery(BaseModel):
    """No query parameter is known here; a misspelt one must not be ignored."""

    model_config = ConfigDict(extra="forbid")


class LimitQuery(NoQuery):
    """How many vaults the list shows; totals are always over all."""

    limit: int = Field(default=_DEFAULT_LIMIT, ge=1, le=_HIGHEST_LIMIT)


@router.get("/predicate/reserved-coins/{predicate_id}")
@router.get("/predicate/{predicate_id}/reserved-coins")
@router.get("/api/predicate/reserved-coins/{predicate_id}", include_in_schema=False)
@router.get("/api/predicate/{predicate_id}/reserved-coins", include_in_schema=False)
async def reserved_coins(
    predicate_id: UUID,
    caller: CallerDependency,
    parts: PartsDependency,
    _: Annotated[NoQuery, Query()],
) -> ReservedCoinsAnswer:
    """What one vault holds, what is reserved of it, and what it is worth."""
    record = await _own_predicate(parts, predicate_id, caller)
    [vault] = await _vaults(parts, [record], caller)
    return reserved_coins_answer(vault, await parts.prices.of_chain(caller.chain_id))


@router.get("/predicate/{predicate_id}/allocation")
@router.get("/api/predicate/{predicate_id}/allocation", include_in_schema=False)
async def predicate_allocation(
    predicate_id: UUID,
    caller: CallerDependency,
    parts: PartsDependency,
    query: Annotated[LimitQuery, Query()],
) -> AllocationAnswer:
    """How one vault's money is spread over assets."""
    record = await _own_predicate(parts, predicate_id, caller)
    return await _allocation(parts, [record], caller, query.limit)


@router.get("/user/allocation")
@router.get("/api/user/allocation", include_in_schema=False)
async def user_allocation(
    caller: CallerDependency, parts: PartsDependency, query: Annotated[LimitQuery, Query()]
) -> AllocationAnswer:
    """How all of a user's money is spread over assets and vaults."""
    records = await parts.runtime.registry.predicates_of_user(caller.user_id)
    return await _allocation(parts, records, caller, query.limit)


async def _own_predicate(parts: Parts, predicate_id: UUID, caller: Caller) -> PredicateRecord:
    return await parts.runtime.registry.predicate_of_user(
        str(predicate_id), caller.user_id, caller.user_address
    )


async def _allocation(
    parts: Parts, records: Sequence[PredicateRecord], caller: Caller, limit: int
) -> AllocationAnswer:
    vaults = await _vaults(parts, records, caller)
    return allocation_answer(vaults, await parts.prices.of_chain(caller.chain_id), limit)


async def _vaults(parts: Parts, records: Sequence[PredicateRecord], caller: Caller) -> list[Vault]:
    runtime = parts.runtime
    reader = runtime.reader(caller.chain_id)
    # A session without an address of its network means the configured one.
    url = caller.network_url or reader.network.public_url
    reservations = await runtime.registry.reserved_coins([r.predicate_id for r in records], [url])
    return await read_vaults(records, reservations, reader, runtime.settings.read_wait_seconds)
