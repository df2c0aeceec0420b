"""``/ops``: the page, its files and its stream, behind the keys of service callers."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from importlib import resources
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import StreamingResponse

from api.context import NoQuery, PartsDependency
from api.ops.overview import EVERY_SECONDS, Overview
from api.page_headers import PAGE_HEADERS
from api.problems import NOT_TO_BE_KEPT, ProblemError, documented

_HEADERS = {**NOT_TO_BE_KEPT, **PAGE_HEADERS}
_FILES = {
    "/ops": ("index.html", "text/html"),
    "/ops/style.css": ("style.css", "text/css"),
    "/ops/script.js": ("script.js", "text/javascript"),
}
_ROUNDS = 5
"""A stream ends by itself and the page opens the next one, so that a server that is told to end
need not wait long, and a key that was taken away is noticed."""


async def _admit(request: Request, parts: PartsDependency) -> None:
    """Let an operator in: by X-API-Key, or in a browser by Basic with a key as the password.

    Raises:
        ProblemError: as the internal API's; a browser asks for the key then.
    """
    try:
        await parts.guard.admit(request, key=_password(request.headers.getlist("authorization")))
    except ProblemError as problem:
        if problem.status == HTTPStatus.UNAUTHORIZED:
            detail = "Give a key of INTERNAL_API_KEY as X-API-Key, or as the password."
            how = {"WWW-Authenticate": 'Basic realm="balance-cache", charset="UTF-8"'}
            raise ProblemError(problem.status, problem.title, detail, how) from None
        raise


def _password(sent: list[str]) -> str | None:
    """Return the password of Basic credentials; None without any, empty if they are none."""
    if not sent:
        return None
    scheme, _, encoded = sent[0].partition(" ")
    if len(sent) > 1 or scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


router = APIRouter(
    tags=["operations"],
    dependencies=[Depends(_admit)],
    responses=documented(401, 403, 422, 429, 503),
)


def _file(name: str, media_type: str) -> Callable[[], Awaitable[Response]]:
    content = (resources.files("api.ops") / "page" / name).read_bytes()

    async def serve() -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)

    return serve


for _path, (_name, _media_type) in _FILES.items():
    router.add_api_route(_path, _file(_name, _media_type), include_in_schema=False)


@router.get("/ops/stream", response_class=Response)
async def stream(parts: PartsDependency, _: Annotated[NoQuery, Query()]) -> Response:
    """How everything is, every two seconds (server-sent events)."""
    headers = {**NOT_TO_BE_KEPT, "X-Accel-Buffering": "no"}
    return StreamingResponse(
        _events(parts.overview), media_type="text/event-stream", headers=headers
    )


async def _events(overview: Overview) -> AsyncIterator[str]:
    yield "retry: 500\n\n"
    for at in range(_ROUNDS):
        if at:
            await asyncio.sleep(EVERY_SECONDS)
        yield f"data: {json.dumps(await overview.read())}\n\n"
