"""``/metrics``: what Prometheus reads of this process, and of what all processes share."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from api.context import NoQuery, PartsDependency
from api.internal.guard import certain_address
from api.problems import ProblemError, documented
from telemetry.exposition import CONTENT_TYPE

router = APIRouter(tags=["metrics"])


@router.get("/metrics", response_class=Response, responses=documented(403, 422))
async def metrics(
    request: Request,
    parts: PartsDependency,
    _: Annotated[NoQuery, Query()],
    authorization: Annotated[str | None, Header(description="Bearer METRICS_TOKEN.")] = None,
) -> Response:
    """Metrics in Prometheus's text format.

    For callers from METRICS_ALLOWED_CIDRS, and for those who have METRICS_TOKEN.
    """
    address = certain_address(request, parts.runtime.settings.trusted_proxies)
    if not parts.door.is_open(address, authorization):
        raise ProblemError(403, "Forbidden", "Metrics are not for callers from this address.")
    return Response(await parts.scraper.scrape(), media_type=CONTENT_TYPE)
