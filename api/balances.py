"""The read paths: Bako's, the document's names for them, and the dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from api.conditional import answered
from api.context import CredentialsDependency, Parts, PartsDependency, ReadQuery
from api.dashboard import dashboard_answer
from api.dashboard_representation import DashboardAnswer
from api.problems import ProblemError, documented
from api.registered import AnyCaller, Registered
from api.representation import AllocationAnswer, ReservedCoinsAnswer
from api.vaults import allocation_answer, reserved_coins_answer
from api.views import Seen, look
from domain.values import ChainId

_DEFAULT_LIMIT = 5
_HIGHEST_LIMIT = 50

router = APIRouter(tags=["balances"], responses=documented(401, 403, 404, 422, 429, 503))


class LimitQuery(ReadQuery):
    """How many vaults the list shows; totals are always over all."""

    limit: int = Field(default=_DEFAULT_LIMIT, ge=1, le=_HIGHEST_LIMIT)


class DashboardQuery(ReadQuery):
    """Whose page, and of which networks."""

    network: str | None = Field(
        default=None,
        pattern=r"^(all|[0-9]{1,20})$",
        description="`all` configured networks, or a chain id; else that of the session.",
    )


def _documented(answer: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return what a read path answers beside 200."""
    return {
        202: {"model": answer, "description": "What there is; what was demanded is fetched."},
        304: {"description": "The caller has it already."},
        412: {"model": answer, "description": "What there is; the node has not more."},
    }


@router.get(
    "/predicate/reserved-coins/{predicate_id}",
    response_model=ReservedCoinsAnswer,
    responses=_documented(ReservedCoinsAnswer),
)
@router.get(
    "/predicate/{predicate_id}/reserved-coins",
    response_model=ReservedCoinsAnswer,
    responses=_documented(ReservedCoinsAnswer),
)
@router.get("/api/predicate/reserved-coins/{predicate_id}", include_in_schema=False)
@router.get("/api/predicate/{predicate_id}/reserved-coins", include_in_schema=False)
async def reserved_coins(
    request: Request,
    predicate_id: UUID,
    credentials: CredentialsDependency,
    parts: PartsDependency,
    query: Annotated[ReadQuery, Query()],
) -> Response:
    """What one vault holds, what is reserved of it, and what it is worth."""
    caller = await credentials.caller(parts, query)
    seen = await _look_at(parts, caller, predicate_id, query)
    [view] = seen.views
    [vault] = view.vaults
    response = answered(
        request,
        [view],
        ["reserved-coins"],
        lambda: reserved_coins_answer(vault, view.pricing),
        partial(parts.hot.body_of, request),
    )
    parts.hot.keep(request, response, caller, seen, query)
    return response


@router.get(
    "/predicate/{predicate_id}/allocation",
    response_model=AllocationAnswer,
    responses=_documented(AllocationAnswer),
)
@router.get("/api/predicate/{predicate_id}/allocation", include_in_schema=False)
async def predicate_allocation(
    request: Request,
    predicate_id: UUID,
    credentials: CredentialsDependency,
    parts: PartsDependency,
    query: Annotated[LimitQuery, Query()],
) -> Response:
    """How one vault's money is spread over assets."""
    caller = await credentials.caller(parts, query)
    seen = await _look_at(parts, caller, predicate_id, query)
    return _allocation(request, parts, caller, seen, query)


@router.get(
    "/user/allocation", response_model=AllocationAnswer, responses=_documented(AllocationAnswer)
)
@router.get("/api/user/allocation", include_in_schema=False)
async def user_allocation(
    request: Request,
    credentials: CredentialsDependency,
    parts: PartsDependency,
    query: Annotated[LimitQuery, Query()],
) -> Response:
    """How all of a user's money is spread over assets and vaults."""
    caller = await credentials.caller(parts, query)
    seen = await _look_at_all(parts, caller, [caller.chain_id], query)
    return _allocation(request, parts, caller, seen, query)


@router.get(
    "/user/dashboard", response_model=DashboardAnswer, responses=_documented(DashboardAnswer)
)
@router.get("/api/user/dashboard", include_in_schema=False)
async def user_dashboard(
    request: Request,
    credentials: CredentialsDependency,
    parts: PartsDependency,
    query: Annotated[DashboardQuery, Query()],
) -> Response:
    """All that a home page and its vault cards need, in one answer."""
    caller = await credentials.caller(parts, query)
    chain_ids = _chosen(parts, caller, query)
    seen = await _look_at_all(parts, caller, chain_ids, query)
    response = answered(
        request,
        seen.views,
        ["dashboard"],
        lambda: dashboard_answer(seen.views),
        partial(parts.hot.body_of, request),
    )
    parts.hot.keep(request, response, caller, seen, query)
    return response


def _chosen(parts: Parts, caller: AnyCaller, query: DashboardQuery) -> Sequence[ChainId]:
    """Return the networks of a dashboard.

    Raises:
        ProblemError: 422, a height for networks that do not share their heights.
    """
    if query.network is None:
        return [caller.chain_id]
    if query.network != "all":
        return [int(query.network)]
    if query.min_height:
        detail = "min_height is a height of one network; name it by network."
        raise ProblemError(422, "Invalid request", detail)
    return parts.runtime.settings.chain_ids


def _allocation(
    request: Request, parts: Parts, caller: AnyCaller, seen: Seen, query: LimitQuery
) -> Response:
    [view] = seen.views
    response = answered(
        request,
        [view],
        ["allocation", query.limit],
        lambda: allocation_answer(view.vaults, view.pricing, query.limit),
        partial(parts.hot.body_of, request),
    )
    parts.hot.keep(request, response, caller, seen, query)
    return response


async def _look_at(parts: Parts, caller: AnyCaller, predicate_id: UUID, query: ReadQuery) -> Seen:
    async def find(*, anew: bool) -> Registered:
        return await parts.registered.one(str(predicate_id), caller, anew=anew)

    return await look(parts, caller, [caller.chain_id], query, find)


async def _look_at_all(
    parts: Parts, caller: AnyCaller, chain_ids: Sequence[ChainId], query: ReadQuery
) -> Seen:
    user_id = caller.user_id
    if user_id is None:
        raise ProblemError(422, "Invalid request", "A service caller must give userId.")

    async def find(*, anew: bool) -> Registered:
        return await parts.registered.of_user(user_id, caller, anew=anew)

    return await look(parts, caller, chain_ids, query, find)
