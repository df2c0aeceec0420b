"""No request body is larger than any that we have a use for."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import ProblemError, answer

MOST_BYTES = 1_048_576
_TITLE = "Content too large"


class BodyLimit:
    """Refuses larger bodies with 413: by their announced length, or as soon as they exceed it."""

    def __init__(self, app: ASGIApp, most_bytes: int = MOST_BYTES) -> None:
        self._app = app
        self._most = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless its body is too large."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._announces_too_much(Headers(scope=scope).get("content-length", "0")):
            detail = f"A body has at most {self._most} bytes."
            await answer(ProblemError(413, _TITLE, detail))(scope, receive, send)
            return
        await self._app(scope, self._counting(receive), send)

    def _announces_too_much(self, length: str) -> bool:
        # By its digits first: Python refuses to read a number of thousands of them.
        digits = length.lstrip("0")
        return (
            length.isascii()
            and length.isdigit()
            and (len(digits) > len(str(self._most)) or int(digits or "0") > self._most)
        )

    def _counting(self, receive: Receive) -> Receive:
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._most:
                raise HTTPException(413, _TITLE)
            return message

        return counted
