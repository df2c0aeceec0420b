"""Refusals of the admin interface, as `application/problem+json`."""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet
from http import HTTPStatus
from typing import Any

from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import Response

from domain.errors import InvalidValueError


class AdminError(Exception):
    """An admin request that is refused; nothing was changed."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def problem(status: int, detail: str) -> Response:
    """Return a refusal that says what is wrong."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return Response(json.dumps(body), status, media_type="application/problem+json")


async def refuse(_request: Request, error: Exception) -> Response:
    """Turn an error into a refusal; the handler that Starlette calls."""
    if isinstance(error, AdminError):
        return problem(error.status, error.detail)
    return problem(400, str(error))


async def read_object(
    request: Request,
    required: AbstractSet[str],
    optional: AbstractSet[str] = frozenset(),
) -> dict[str, Any]:
    """Return the JSON object in an admin request.

    Raises:
        AdminError: it is none, or has entries that are missing or unknown.
    """
    try:
        content = json.loads(await request.body() or b"{}")
    except ValueError as error:
        raise AdminError(400, f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise AdminError(400, "the body is not a JSON object")
    missing, unknown = required - set(content), set(content) - required - optional
    if missing:
        raise AdminError(400, f"missing: {', '.join(sorted(missing))}")
    if unknown:
        raise AdminError(400, f"unknown: {', '.join(sorted(unknown))}")
    return content


EXCEPTION_HANDLERS = {AdminError: refuse, InvalidValueError: refuse, GraphQLError: refuse}
