"""The shortest way of an answer that still holds: past routing, validation and rendering."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.conditional import is_named
from api.context import Parts
from api.hot_answers import Kept, key_of

_BODY = "http.response.body"
_NO_BODY: Message = {"type": _BODY, "body": b""}


class HotPath:
    """Sends an answer again while it holds; everything else goes its usual way.

    What it sends is what the route sent before, byte for byte, but for `Age`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        key, tags = key_of(scope)
        parts: Parts | None = getattr(scope["app"].state, "parts", None)
        if key is None or parts is None:
            await self._app(scope, receive, send)
            return
        hot = parts.hot
        kept = await hot.find(key)
        if kept is None and await hot.renewal(key):
            kept = await hot.find(key)
        has_it = kept is not None and bool(tags) and _has(kept, tags)
        if kept is None or (kept.body is None and not has_it):
            with hot.renewing(key):
                await self._app(scope, receive, send)
        else:
            await send(kept.start(hot.age_seconds(kept), modified=not has_it))
            await send(_NO_BODY if has_it else {"type": _BODY, "body": kept.body})


def _has(kept: Kept, tags: bytes) -> bool:
    return tags == kept.tag or is_named(kept.tag.decode(), [tags.decode("latin-1")])
