"""Errors as ``application/problem+json`` (RFC 9457), one place for all of them.

Nothing of a request's credentials, of a URL or of a statement is ever repeated in one.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from domain.errors import (
    BalanceCacheError,
    CacheUnavailableError,
    InvalidValueError,
    PublishingError,
    RegistryUnavailableError,
    UnknownNetworkError,
    UnknownPredicateError,
    UnknownUserError,
)

MEDIA_TYPE = "application/problem+json"
NOT_TO_BE_KEPT = {"Cache-Control": "no-store"}
"""Balances are kept fresh here and nowhere on the way."""

_UNAVAILABLE = "Service unavailable"
_COME_BACK = {"Retry-After": "1"}
_log = structlog.get_logger(__name__)


class Problem(BaseModel):
    """The body of every error."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route's documentation says about its errors."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }


class ProblemError(Exception):
    """An answer other than success, raised from anywhere below a route.

    Attributes:
        status: the HTTP status.
        title: the same for every such problem.
        detail: what it is this time.
        headers: to be sent along.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = headers


def unauthorized(detail: str) -> ProblemError:
    """Return the problem of a caller whom we do not know."""
    return ProblemError(401, "Unauthorized", detail, {"WWW-Authenticate": "Bako"})


def unavailable(detail: str) -> ProblemError:
    """Return the problem of an answer that nobody can give now."""
    return ProblemError(503, _UNAVAILABLE, detail, _COME_BACK)


def answer(problem: ProblemError) -> Response:
    """Return a problem as a response."""
    body = Problem(title=problem.title, status=problem.status, detail=problem.detail)
    return JSONResponse(
        body.model_dump(),
        status_code=problem.status,
        headers={**NOT_TO_BE_KEPT, **(problem.headers or {})},
        media_type=MEDIA_TYPE,
    )


_NOT_FOUND = "There is no such vault or user for you."
"""The id is not repeated: "not there" and "not yours" must be the same bytes."""

_MEANINGS: Mapping[type[BalanceCacheError], tuple[int, str, str | None]] = {
    UnknownPredicateError: (404, "Not found", _NOT_FOUND),
    UnknownUserError: (404, "Not found", _NOT_FOUND),
    UnknownNetworkError: (422, "Unknown network", None),
    InvalidValueError: (422, "Invalid value", None),
    RegistryUnavailableError: (503, _UNAVAILABLE, "The database does not answer."),
    CacheUnavailableError: (503, _UNAVAILABLE, "The cache does not answer."),
    PublishingError: (503, _UNAVAILABLE, "The broker did not accept the task in time."),
}
"""What our errors mean to a caller: status, title, detail (None: the error's own text)."""


def translated(error: Exception) -> ProblemError:
    """Return what an error means to a caller."""
    if isinstance(error, ProblemError):
        return error
    for kind, (status, title, detail) in _MEANINGS.items():
        if isinstance(error, kind):
            headers = _COME_BACK if status == HTTPStatus.SERVICE_UNAVAILABLE else None
            return ProblemError(status, title, detail or str(error), headers)
    return ProblemError(500, "Internal error")


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem."""
    kinds: tuple[type[Exception], ...] = (ProblemError, *_MEANINGS)
    for kind in kinds:
        app.add_exception_handler(kind, _expected)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _expected(_: Request, error: Exception) -> Response:
    problem = translated(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("request_unserved", why=str(error), status=problem.status)
    return answer(problem)


async def _invalid_request(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    # Names and reasons, never the values: a header among them may be a token.
    parts = [f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()]
    return answer(ProblemError(422, "Invalid request", "; ".join(parts)[:2_000]))


async def _http(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return answer(ProblemError(error.status_code, str(error.detail), headers=error.headers))


async def _unexpected(_: Request, error: Exception) -> Response:
    _log.error("request_failed", exc_info=error)
    return answer(translated(error))
