"""Bako's sessions, read as Bako's TypeScript writes them: ``session-{token}``, JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from cache.commands import Commands
from cache.keys import REGISTRY, session

_LONGEST_TOKEN = 8_192
"""Tokens are login signatures; what is longer is none, and must not become a key."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a session found.

    Attributes:
        session: as Bako stored it; None when there is none or it is unreadable.
        raw: its bytes; the same bytes are the same session.
        registry_version: of the registry at that moment (see `cache.registry_version`).
    """

    session: Mapping[str, Any] | None
    raw: bytes | None
    registry_version: bytes


class SessionStore:
    """Finds the session of a token. Sessions are Bako's: nothing here writes one."""

    def __init__(self, client: Redis) -> None:
        self._commands = Commands(client)

    async def get(self, token: str) -> Mapping[str, Any] | None:
        """Return the session as Bako stored it, None when there is none or it is unreadable.

        Bako's fields: ``accessToken``, ``expired_at``, ``user_id``, ``address``, ``network``
        (``url``, ``chainId``), ``workspace`` and more. Whether it is expired, the caller judges.

        Raises:
            CacheUnavailableError: Redis does not answer; that is not the same as no session.
        """
        return (await self.look(token)).session

    async def look(self, token: str) -> Look:
        """Return the session and, by the same command, the registry's version.

        Raises:
            CacheUnavailableError: Redis does not answer; that is not the same as no session.
        """
        names = [session(token)] if 0 < len(token) <= _LONGEST_TOKEN else []
        version, *raws = await self._commands.get_many([REGISTRY, *names])
        raw = raws[0] if raws else None
        return Look(_parse(raw), raw, version or b"")

    async def get_many(self, tokens: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return the sessions that there are, by token, in one round trip.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        asked = [token for token in tokens if token and len(token) <= _LONGEST_TOKEN]
        raws = await self._commands.get_many([session(token) for token in asked])
        sessions = zip(asked, map(_parse, raws), strict=True)
        return {token: found for token, found in sessions if found is not None}


def _parse(raw: bytes | None) -> Mapping[str, Any] | None:
    if raw is None:
        return None
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
