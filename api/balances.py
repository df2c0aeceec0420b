"""The read paths: Bako's, and the document's names for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from api.context import CredentialsDependency, Parts, PartsDependency, ReadQuery
from api.problems import NOT_TO_BE_KEPT, ProblemError, documented
from api.representation import AllocationAnswer, ReservedCoinsAnswer
from api.sessions import Caller, ServiceCaller
from api.vaults import Vault, allocation_answer, read_vaults, reserved_coins_answer
from domain.networks import Network
from registry.records import PredicateRecord

_DEFAULT_LIMIT = 5
_HIGHEST_LIMIT = 50


def _not_to_be_kept(response: Response) -> None:
    response.headers.update(NOT_TO_BE_KEPT)


router = APIRouter(
    tags=["balances"],
    dependencies=[Depends(_not_to_be_kept)],
    responses=documented(401, 403, 404, 422, 429, 503),
)


class LimitQuery(ReadQuery):
    """How many vaults the list shows; totals are always over all."""

    limit: int = Field(default=_DEFAULT_LIMIT, ge=1, le=_HIGHEST_LIMIT)


@router.get("/predicate/reserved-coins/{predicate_id}")
@router.get("/predicate/{predicate_id}/reserved-coins")
@router.get("/api/predicate/reserved-coins/{predicate_id}", include_in_schema=False)
@router.get("/api/predicate/{predicate_id}/reserved-coins", include_in_schema=False)
async def reserved_coins(
    predicate_id: UUID,
    credentials: CredentialsDependency,
    parts: PartsDependency,
    query: Annotated[ReadQuery, Query()],
) -> ReservedCoinsAnswer:
    """What one vault holds, what is reserved of it, and what it is worth."""
    caller = await credentials.caller(parts, query)
    record = await _predicate(parts, predicate_id, caller)
    [vault] = await _vaults(parts, [record], caller)
    return reserved_coins_answer(vault, await parts.prices.of_chain(caller.chain_id))


@router.get("/predicate/{predicate_id}/allocation")
@router.get("/api/predicate/{predicate_id}/allocation", include_in_schema=False)
async def predicate_allocation(
    predicate_id: UUID,
    credentials: CredentialsDependency,
    parts: PartsDependency,
    query: Annotated[LimitQuery, Query()],
) -> AllocationAnswer:
    """How one vault's money is spread over assets."""
    caller = await credentials.caller(parts, query)
    record = await _predicate(parts, predicate_id, caller)
    return await _allocation(parts, [record], caller, query.limit)


@router.get("/user/allocation")
@router.get("/api/user/allocation", include_in_schema=False)
async def user_allocation(
    credentials: CredentialsDependency,
    parts: PartsDependency,
    query: Annotated[LimitQuery, Query()],
) -> AllocationAnswer:
    """How all of a user's money is spread over assets and vaults."""
    caller = await credentials.caller(parts, query)
    if caller.user_id is None:
        raise ProblemError(422, "Invalid request", "A service caller must give userId.")
    records = await parts.runtime.registry.predicates_of_user(caller.user_id)
    return await _allocation(parts, records, caller, query.limit)


async def _predicate(
    parts: Parts, predicate_id: UUID, caller: Caller | ServiceCaller
) -> PredicateRecord:
    registry = parts.runtime.registry
    if isinstance(caller, ServiceCaller):
        return await registry.predicate(str(predicate_id))
    return await registry.predicate_of_user(str(predicate_id), caller.user_id, caller.user_address)


async def _allocation(
    parts: Parts, records: Sequence[PredicateRecord], caller: Caller | ServiceCaller, limit: int
) -> AllocationAnswer:
    vaults = await _vaults(parts, records, caller)
    return allocation_answer(vaults, await parts.prices.of_chain(caller.chain_id), limit)


async def _vaults(
    parts: Parts, records: Sequence[PredicateRecord], caller: Caller | ServiceCaller
) -> list[Vault]:
    runtime = parts.runtime
    reader = runtime.reader(caller.chain_id)
    reservations = await runtime.registry.reserved_coins(
        [record.predicate_id for record in records], _network_urls(caller, reader.network)
    )
    return await read_vaults(records, reservations, reader, runtime.settings.read_wait_seconds)


def _network_urls(caller: Caller | ServiceCaller, network: Network) -> Sequence[str]:
    """Return what a pending transaction must say to be on this caller's network.

    Bako compares with the URL of the session. Who has none means the configured ones.
    """
    if isinstance(caller, Caller) and caller.network_url:
        return [caller.network_url]
    return network.urls
