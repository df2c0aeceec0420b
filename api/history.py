"""What a vault held, block after block: for a chart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from api.conditional import TO_BE_ASKED_AGAIN, is_named
from api.context import CredentialsDependency, PartsDependency, ReadQuery
from api.problems import documented, unavailable
from api.representation import Answer, AssetAmount, asset_amounts
from domain.values import MAX_BLOCK_HEIGHT
from registry.snapshots import HistoryPoint

_DEFAULT_LIMIT = 100
_HIGHEST_LIMIT = 500
_MOST_BALANCES = 2_000
"""Amounts on a page of more than one point: some hundredths of a second of everybody's time."""

router = APIRouter(tags=["balances"], responses=documented(401, 403, 404, 422, 429, 503))


class HistoryQuery(ReadQuery):
    """Which part of a history."""

    before: int | None = Field(
        default=None,
        ge=0,
        le=MAX_BLOCK_HEIGHT,
        description="Points that began before this block: the `next` of the page before.",
    )
    limit: int = Field(default=_DEFAULT_LIMIT, ge=1, le=_HIGHEST_LIMIT)


class Point(Answer):
    """Balances that did not change between two blocks, as far as anybody looked."""

    block_height: int = Field(alias="blockHeight", description="Where they were first seen.")
    last_block_height: int = Field(
        alias="lastBlockHeight", description="The last block at which they were seen to hold."
    )
    since: str = Field(description="When they were first seen: UTC, ISO 8601.")
    until: str = Field(description="When they were last seen to hold.")
    balances: list[AssetAmount]


class HistoryAnswer(Answer):
    """A page of a vault's history, the newest first."""

    predicate_id: str = Field(alias="predicateId")
    address: str
    chain_id: int = Field(alias="chainId")
    points: list[Point]
    next: int | None = Field(description="`before` of the next page; null: this was the last one.")


@router.get(
    "/predicate/{predicate_id}/history",
    response_model=HistoryAnswer,
    responses={304: {"description": "The caller has it already."}},
)
@router.get("/api/predicate/{predicate_id}/history", include_in_schema=False)
async def history(
    request: Request,
    predicate_id: UUID,
    credentials: CredentialsDependency,
    parts: PartsDependency,
    query: Annotated[HistoryQuery, Query()],
) -> Response:
    """What one vault held over time, as far back as it is kept."""
    caller = await credentials.caller(parts, query)
    parts.runtime.settings.network(caller.chain_id)
    [record] = (await parts.registered.one(str(predicate_id), caller)).records
    if not parts.runtime.settings.durable_enabled:
        raise unavailable("No history is kept: DURABLE_ENABLED=false.")
    points: Sequence[HistoryPoint] = ()
    if record.address is not None:
        points = await parts.runtime.durable.history(
            caller.chain_id,
            record.address,
            before=query.before,
            limit=query.limit + 1,
            most_balances=_MOST_BALANCES,
        )
    shown = _fitting(points, query.limit)
    answer = HistoryAnswer(
        predicate_id=record.predicate_id,
        address=record.address or record.stored_address,
        chain_id=caller.chain_id,
        points=[_shown(point) for point in shown],
        next=shown[-1].height if len(points) > len(shown) else None,
    )
    return _answered(request, answer)


def _fitting(points: Sequence[HistoryPoint], limit: int) -> Sequence[HistoryPoint]:
    """Return the points of one page: at least one, where there is one."""
    balances = 0
    for count, point in enumerate(points[:limit]):
        balances += len(point.balances)
        if count and balances > _MOST_BALANCES:
            return points[:count]
    return points[:limit]


def _answered(request: Request, answer: HistoryAnswer) -> Response:
    content = answer.model_dump_json(by_alias=True).encode()
    tag = f'"{hashlib.blake2b(content, digest_size=16).hexdigest()}"'
    headers = {"ETag": tag, **TO_BE_ASKED_AGAIN}
    if is_named(tag, request.headers.getlist("if-none-match")):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type="application/json")


def _shown(point: HistoryPoint) -> Point:
    return Point(
        block_height=point.height,
        last_block_height=point.seen_height,
        since=_moment(point.taken_at_ms),
        until=_moment(point.seen_at_ms),
        balances=asset_amounts(point.balances),
    )


def _moment(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
