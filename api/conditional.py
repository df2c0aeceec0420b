"""Answers with validators: an unchanged one is not sent again, and not even put together.

The entity tag names everything that an answer is made of: the version of each vault's balances
and how they are served, the versions of prices and assets, and what the registry says. It is
strong: equal tags mean equal bytes, in every process. (No answer contains an age, for that.)
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate

from fastapi import Request, Response
from pydantic import BaseModel

from api.problems import NOT_TO_BE_KEPT
from api.vaults import Vault
from api.views import View, unmet
from domain.ports import Served, Unmet
from domain.values import Missing, Stale

_FORM = 1
"""Raise it when an answer's shape changes: tags from before must not match."""

TO_BE_ASKED_AGAIN = {
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization, signeraddress, X-API-Key",
}
"""The user's own browser may keep an answer, and asks each time whether it still holds."""

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_COME_BACK = {"Retry-After": "1"}


def _nothing_known(tag: str) -> bytes | None:
    del tag
    return None


def answered(
    request: Request,
    views: Sequence[View],
    about: Sequence[str | int],
    build: Callable[[], BaseModel],
    known: Callable[[str], bytes | None] = _nothing_known,
) -> Response:
    """Return the answer, or 304 if the caller has it already.

    What does not meet the caller's demand is sent with 202 (it is being fetched) or 412 (the
    node has it not) and without a validator: it is what there is, not what was asked for.

    Args:
        request: may name tags in `If-None-Match`.
        views: what the answer is made of.
        about: which answer about them, with what parameters.
        build: puts it together.
        known: returns the bytes that an answer with this tag had: equal tags mean equal bytes.
    """
    why = unmet(views)
    if why is not None:
        status = 202 if why is Unmet.PENDING else 412
        return _json(_bytes(build()), status, {**NOT_TO_BE_KEPT, **_COME_BACK})
    tag = entity_tag(views, about)
    headers = {"ETag": tag, **TO_BE_ASKED_AGAIN, **_times(views)}
    if is_named(tag, request.headers.getlist("if-none-match")):
        return Response(status_code=304, headers=headers)
    content = known(tag)
    return _json(_bytes(build()) if content is None else content, 200, headers)


def _bytes(body: BaseModel) -> bytes:
    return body.model_dump_json(by_alias=True).encode()


def _json(content: bytes, status: int, headers: dict[str, str]) -> Response:
    return Response(content, status, headers, media_type="application/json")


def is_named(tag: str, if_none_match: Sequence[str]) -> bool:
    """Tell whether a caller has what this tag names (RFC 9110, weak comparison)."""
    listed = ",".join(if_none_match)
    return listed.strip() == "*" or tag in _TAG.findall(listed)


def entity_tag(views: Sequence[View], about: Sequence[str | int]) -> str:
    """Return the tag of an answer."""
    made_of = [
        (
            view.network.chain_id,
            view.network.name,
            view.pricing.version,
            [_made_of(vault) for vault in view.vaults],
        )
        for view in views
    ]
    found = hashlib.blake2b(repr((_FORM, *about, made_of)).encode(), digest_size=16)
    return f'"{found.hexdigest()}"'


def _made_of(vault: Vault) -> tuple[object, ...]:
    record, reservation = vault.record, vault.reservation
    return (
        record.predicate_id,
        record.name,
        record.stored_address,
        record.members,
        record.minimum_signers,
        record.updated_at,
        reservation.unreadable,
        *reservation.coins.items(),
        *_version(vault.served),
    )


def _version(served: Served) -> tuple[object, ...]:
    answer = served.answer
    if isinstance(answer, Missing):
        return ("missing", served.source.value)
    stored = answer.stored
    return (
        answer.reason.value if isinstance(answer, Stale) else "fresh",
        served.source.value,
        stored.timestamp_ms,
        stored.version,
        stored.snapshot.height,
        # No version: a foreign writer's, or in no cache. Then the balances name themselves.
        () if stored.version else stored.snapshot.balances,
    )


def _times(views: Sequence[View]) -> dict[str, str]:
    """Return how old the oldest balances are, and when anything in the answer last changed.

    The second is for people: what the registry says has no such moment, so that
    `If-Modified-Since` is not answered with 304.
    """
    known = [
        answer
        for view in views
        for vault in view.vaults
        if not isinstance(answer := vault.served.answer, Missing)
    ]
    if not known:
        return {}
    changed = [answer.stored.timestamp_ms for answer in known]
    changed += [view.pricing.as_of_ms for view in views if view.pricing.as_of_ms is not None]
    oldest = max(answer.age_ms for answer in known)
    return {
        "Age": str(max(0, oldest) // 1000),
        "Last-Modified": formatdate(min(max(changed) / 1000, time.time()), usegmt=True),
    }
