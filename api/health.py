"""Is the process alive, and can it serve?"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from api.context import PartsDependency

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers; it says nothing about what it needs."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """Whether everything that the service needs answers.

    ``reasons`` names what does not, without addresses and credentials. ``warnings`` names what
    does not stop the service: beat that is silent.
    """

    status: Literal["ready", "not ready"]
    reasons: dict[str, str]
    warnings: dict[str, str]
    cache_enabled: bool


@router.get("/health")
async def health() -> Health:
    """Tell that the process lives."""
    return Health()


@router.get("/ready", responses={503: {"model": Readiness}})
async def ready(parts: PartsDependency, response: Response) -> Readiness:
    """Tell whether Redis, the database and every network's node are known good."""
    reasons = dict(await parts.runtime.troubles())
    if reasons:
        response.status_code = 503
    return Readiness(
        status="not ready" if reasons else "ready",
        reasons=reasons,
        warnings={} if reasons else dict(await parts.runtime.warnings()),
        cache_enabled=parts.runtime.settings.enable_balance_cache,
    )
