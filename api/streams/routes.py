"""The routes: a user's balances as a stream, and how far his warm-up is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from pydantic import Field

from api.context import CredentialsDependency, PartsDependency, ReadQuery
from api.problems import NOT_TO_BE_KEPT, ProblemError, documented, unavailable
from api.representation import Answer
from api.sessions import Caller, ServiceCaller
from api.streams.events import EVENT_ID, EventId
from api.streams.feed import EVENT_NAMES, Feed, progress_data
from api.streams.response import MEDIA_TYPE, EventStream

router = APIRouter(tags=["balances"], responses=documented(401, 403, 404, 422, 429, 503))

_EVENT = {
    "type": "object",
    "description": "One event; `data` is JSON.",
    "properties": {
        "event": {"type": "string", "enum": list(EVENT_NAMES)},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "id": {"type": "string", "pattern": EVENT_ID},
        "retry": {"type": "integer"},
    },
}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "Events, for hours.", "content": {MEDIA_TYPE: {"schema": _EVENT}}}
}


class WarmUpAnswer(Answer):
    """How far the warm-up of a user's last login is, on his network."""

    chain_id: int = Field(alias="chainId")
    state: Literal["none", "running", "finished"] = Field(
        description="none: no login is remembered."
    )
    total: int = Field(description="Vaults that the login asked for.")
    done: int = Field(description="Nothing is left to do for so many.")
    failed: int = Field(description="The node gave no balances for so many; a read asks again.")


@router.get("/user/balances/stream", response_class=Response, responses=_STREAM)
@router.get("/api/user/balances/stream", include_in_schema=False, response_class=Response)
async def balances_stream(
    credentials: CredentialsDependency,
    parts: PartsDependency,
    query: Annotated[ReadQuery, Query()],
    last_event_id: Annotated[
        str | None,
        Header(pattern=EVENT_ID, description="The last id that was read: resume after it."),
    ] = None,
) -> Response:
    """All balances of a user: what is known at once, then each change (server-sent events)."""
    after = None if last_event_id is None else EventId.parse(last_event_id)
    caller = await credentials.caller(parts, query)
    user_id = _user_of(caller)
    if not parts.runtime.settings.enable_balance_cache:
        raise unavailable("The cache is switched off; there is no stream without it.")
    parts.runtime.settings.network(caller.chain_id)
    records = await parts.runtime.registry.predicates_of_user(user_id)
    token = credentials.authorization if isinstance(caller, Caller) else None
    return EventStream(Feed(caller, user_id, token, records), parts.streams, after)


@router.get("/user/warm-up")
@router.get("/api/user/warm-up", include_in_schema=False)
async def warm_up(
    credentials: CredentialsDependency,
    parts: PartsDependency,
    query: Annotated[ReadQuery, Query()],
    response: Response,
) -> WarmUpAnswer:
    """How far the warm-up of the user's last login is."""
    caller = await credentials.caller(parts, query)
    parts.runtime.settings.network(caller.chain_id)
    progress = await parts.runtime.warm_ups.progress(_user_of(caller), caller.chain_id)
    response.headers.update(NOT_TO_BE_KEPT)
    return WarmUpAnswer.model_validate(progress_data(progress, caller.chain_id))


def _user_of(caller: Caller | ServiceCaller) -> str:
    if caller.user_id is None:
        raise ProblemError(422, "Invalid request", "A service caller must give userId.")
    return caller.user_id
